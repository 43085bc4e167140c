"""The overlays of a working copy, rendered without a running platform: what `towpath manifest` derives rights from."""

import os
from collections.abc import Iterator
from pathlib import Path

from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import BLUEPRINT_FILE, Blueprint
from towpath.config import STATE_DIRECTORY
from towpath.errors import UserError
from towpath.kube.objects import Object
from towpath.reconcile.desired import set_namespaces
from towpath.render.kustomize import Renderer

_NOT_OURS = frozenset({".git", STATE_DIRECTORY})


async def render_overlays(root: Path, *, default_name: str) -> tuple[Blueprint, dict[str, list[Object]]]:
    """The blueprint of a working copy, and what each environment's overlay renders to.

    Raises:
        BlueprintError, RenderError: the repository is wrong.
        UserError: it has no environments, or a file cannot be read.
    """
    file = root / BLUEPRINT_FILE
    try:
        text = file.read_text() if file.exists() else None
        blueprint = load_blueprint(text, list(_paths(root)), default_name=default_name)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}): {error}") from error
    if not blueprint.environments:
        raise UserError(
            f"{root} has no environments (NotFound): no overlay says what is to run",
            hint="run it in the platform repository; `towpath init DIR` writes one",
        )
    renderer = Renderer()
    rendered: dict[str, list[Object]] = {}
    for name, environment in blueprint.environments.items():
        objects = await renderer.render(root, environment.overlay.strip("/"))
        set_namespaces(objects, name)
        rendered[name] = objects
    return blueprint, rendered


def _paths(root: Path) -> Iterator[str]:
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = [name for name in subdirectories if name not in _NOT_OURS]
        for name in files:
            yield str((Path(directory) / name).relative_to(root))
