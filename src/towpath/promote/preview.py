"""What an edited overlay would change: both versions rendered by the real kustomize, compared object by object."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from towpath.blueprint.model import Environment
from towpath.kube.diff import FieldChange, diff
from towpath.kube.objects import Object, ObjectKey, key_of


class Trees(Protocol):
    """Where the overlay's files come from."""

    async def export(self, commit: str, path: str, destination: Path) -> None:
        """Write the tree at `path` below `destination`."""
        ...


class Renders(Protocol):
    """What renders them."""

    async def render(self, directory: Path, overlay: str, *, key: str = "") -> list[Object]:
        """The objects of an overlay. Raises RenderError."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectDiff:
    """The changed fields of one object; `action` is created, configured or pruned."""

    key: ObjectKey
    action: str
    changes: tuple[FieldChange, ...]


class Preview:
    """Renders overlays as they are and as they would be."""

    def __init__(self, trees: Trees, renderer: Renders) -> None:
        self._trees = trees
        self._renderer = renderer

    async def diff(self, commit: str, environment: Environment, path: str, text: str) -> list[ObjectDiff]:
        """What changes in `environment` when the file at `path` becomes `text`. Raises RenderError."""
        root = environment.overlay.split("/", 1)[0]
        with tempfile.TemporaryDirectory(prefix="towpath-preview-") as directory:
            tree = Path(directory)
            await self._trees.export(commit, root, tree / root)
            before = await self._renderer.render(tree, environment.overlay)
            (tree / path).write_text(text)
            after = await self._renderer.render(tree, environment.overlay)
        return compare(before=before, after=after)


def compare(*, before: Sequence[Object], after: Sequence[Object]) -> list[ObjectDiff]:
    """The differences of two renderings, in the order of the second, what is pruned last."""
    old = {key_of(obj): obj for obj in before}
    new = {key_of(obj): obj for obj in after}
    diffs = []
    for key, obj in new.items():
        changes = tuple(diff(old.get(key, {}), obj))
        if changes:
            diffs.append(ObjectDiff(key, "configured" if key in old else "created", changes))
    diffs += [ObjectDiff(key, "pruned", tuple(diff(obj, {}))) for key, obj in old.items() if key not in new]
    return diffs
