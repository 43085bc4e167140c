"""Exported git trees, for programs that read files: one folder a tree id, made once, the oldest removed.

A tree never changes under its id, so a folder that exists is right. It is exported beside its place and renamed into
it: a crash leaves a half tree only under a name nobody reads.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Protocol

# The trees of the last pushes; a homelab's manifests are some 100 KiB.
KEPT_TREES = 8


class Exporter(Protocol):
    """The repository, as far as it is needed here."""

    async def export(self, commit: str, path: str, destination: Path) -> None:
        """Write the tree at `path` of `commit` into `destination`."""
        ...


class TreeStore:
    """A cache directory of exported trees."""

    def __init__(self, exporter: Exporter, directory: Path, *, kept: int = KEPT_TREES) -> None:
        self._exporter = exporter
        self._directory = directory
        self._kept = kept
        self._locks: dict[str, asyncio.Lock] = {}

    def path(self, tree_id: str) -> Path:
        """Where the tree of this id stands once it is exported."""
        return self._directory / tree_id

    async def get(self, commit: str, path: str, tree_id: str) -> Path:
        """The folder that stands for the root of the repository and holds at least `path` (a tree of id `tree_id`).

        Raises what the exporter raises.
        """
        root = self.path(tree_id)
        async with self._locks.setdefault(tree_id, asyncio.Lock()):
            if not root.is_dir():
                await self._export(commit, path, root)
        return root

    async def _export(self, commit: str, path: str, root: Path) -> None:
        partial = root.with_name(f".{root.name}.partial")
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        destination = partial / path
        destination.parent.mkdir(parents=True, exist_ok=True)
        await self._exporter.export(commit, path, destination)
        partial.rename(root)
        await asyncio.to_thread(self._remove_oldest, root)

    def _remove_oldest(self, newest: Path) -> None:
        folders = [folder for folder in self._directory.iterdir() if folder != newest and folder.name[0] != "."]
        folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in folders[self._kept - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)
            self._locks.pop(folder.name, None)
