"""Write a tree of a commit into an empty directory, byte by byte as committed, and never a byte outside it.

`git archive` would let attributes in the repository drop and rewrite files, so the tree is walked here:

1. List the tree.
2. Refuse names that leave it.
3. Make the directories; none may exist, so none can be a link.
4. Stream each blob into a file made anew (`blobs`); no path runs over a link: its directories were made in step 3.
5. Judge the links where they stand.
6. On any failure, remove what was written.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from towpath.errors import UserError
from towpath.source import git
from towpath.source.blobs import SUBMODULE, SYMLINK, TreeEntry, write_blobs


class UnsafeTreeError(UserError):
    """A tree has a name or a link that leads out of it."""


async def list_tree(repository: Path, tree: str) -> list[TreeEntry]:
    """Every file of a tree, all levels, in Git's order.

    Raises:
        GitError: there is no such tree.
    """
    listed = await git.run(repository, "ls-tree", "-r", "-z", "--full-tree", tree)
    entries = []
    for record in listed.stdout.split(b"\x00")[:-1]:
        meta, _, path = record.partition(b"\t")
        mode, _kind, object_id = meta.decode().split()
        entries.append(TreeEntry(mode, object_id, os.fsdecode(path)))
    return entries


async def export_tree(repository: Path, tree: str, destination: Path, *, strict: bool = True) -> None:
    """Write a tree into `destination`, which must be empty or absent.

    Args:
        repository: the bare repository.
        tree: the id of a tree.
        destination: the directory.
        strict: refuse a symbolic link that leads out of the tree; otherwise write it as a plain file that holds its
            target, as Git does where links are not supported.

    Raises:
        UnsafeTreeError: the tree leads out of itself.
        GitError: there is no such tree.
    """
    entries = await list_tree(repository, tree)
    existed = destination.exists()
    try:
        _make_directories(entries, destination)
        await write_blobs(repository, entries, destination)
        _tame_links([entry.path for entry in entries if entry.mode == SYMLINK], destination, strict=strict)
    except BaseException:
        shutil.rmtree(destination, ignore_errors=True)
        if existed:
            destination.mkdir()
        raise


def _make_directories(entries: Sequence[TreeEntry], destination: Path) -> None:
    destination.mkdir(parents=True, exist_ok=True)
    made: set[str] = set()
    for entry in entries:
        parts = entry.path.split("/")
        if any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts):
            raise UnsafeTreeError(f"{entry.path} cannot be exported (UnsafePath): a name in it leads out of the tree")
        depth = len(parts) + (entry.mode == SUBMODULE)
        for length in range(1, depth):
            directory = "/".join(parts[:length])
            if directory not in made:
                made.add(directory)
                (destination / directory).mkdir()


def _tame_links(paths: Sequence[str], destination: Path, *, strict: bool) -> None:
    # Judged where they stand, after all are written: a link over another link can lead out although its text does not.
    root = destination.resolve()
    remaining = list(paths)
    while leading_out := [path for path in remaining if not _stays_inside(destination / path, root)]:
        for path in leading_out:
            link = (destination / path).readlink()
            if strict:
                raise UnsafeTreeError(
                    f"{path} cannot be exported (UnsafeLink): it leads to {link}, outside the exported directory",
                    hint="replace the link by what it points at",
                )
            (destination / path).unlink()
            (destination / path).write_bytes(os.fsencode(link))
            remaining.remove(path)


def _stays_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a loop of links leads nowhere
        return True
