"""Finds references to other machines in the kustomizations an overlay is made of.

Rendering must not depend on a network: what a commit renders to would change without a commit. Kustomize itself would
fetch, so the files are read beforehand, from the overlay down through its local bases and components.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from towpath.render.errors import RenderError

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LISTS = ("resources", "bases", "components", "crds", "configurations", "transformers", "generators", "validators")
# Kustomize refuses nesting far below this too; it only ends a circle of bases.
_MAX_KUSTOMIZATIONS = 200


def refuse_remote(directory: Path, overlay: str) -> None:
    """Raise RenderError if the overlay, or a base of it, names something outside of the repository.

    Files that are missing or not YAML are left to kustomize, which names the fault better.
    """
    root = directory.resolve()
    waiting = [root / overlay]
    seen: set[Path] = set()
    while waiting and len(seen) < _MAX_KUSTOMIZATIONS:
        folder = waiting.pop().resolve()
        file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
        if folder in seen or file is None or not folder.is_relative_to(root):
            continue
        seen.add(folder)
        for entry in _entries(_read(file)):
            if _is_remote(entry):
                raise RenderError(
                    overlay=overlay,
                    file=str(file.relative_to(root)),
                    reason=f"{entry} is not in this repository (RemoteReference)",
                    hint="copy what it points at into the repository",
                )
            if (folder / entry).is_dir():
                waiting.append(folder / entry)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_bytes(), yaml.CSafeLoader)
    except (OSError, yaml.YAMLError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _entries(kustomization: dict[str, Any]) -> Iterator[str]:
    for name in _LISTS:
        yield from _strings(kustomization.get(name))
    for name in ("patches", "patchesJson6902", "replacements"):
        for item in _items(kustomization.get(name)):
            yield from _strings([item.get("path")])
    yield from _strings(kustomization.get("patchesStrategicMerge"))
    for name in ("configMapGenerator", "secretGenerator"):
        for item in _items(kustomization.get(name)):
            for source in ("files", "envs"):
                yield from (text.rpartition("=")[2] for text in _strings(item.get(source)))


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    # A text with a line break is an inline object or patch, not a path.
    return [item for item in value if isinstance(item, str) and "\n" not in item] if isinstance(value, list) else []


def _is_remote(entry: str) -> bool:
    return "://" in entry or entry.startswith(("git@", "git::", "github.com/", "gh:")) or "?ref=" in entry
