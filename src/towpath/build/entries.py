"""What a layer holds: files, directories and symbolic links, each with a path inside the image.

An entry carries no owner, no time and no device: those are the same for every entry of every layer (`layer`), so that
equal content always gives an equal layer. Paths are relative to the image's root, with `/` and without a leading one.
"""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from towpath.errors import UserError

FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755
DIRECTORY_MODE = 0o755


class BuildError(UserError):
    """A service cannot be built from what its directory and the blueprint say."""


class Kind(Enum):
    """The three things a layer can hold; the value is the type flag of a tar header."""

    FILE = b"0"
    SYMLINK = b"2"
    DIRECTORY = b"5"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a layer.

    Attributes:
        path: where it stands in the image.
        kind: what it is.
        mode: its permission bits.
        size: bytes of content; 0 for everything but files.
        source: the file to read the content from; None when `content` holds it.
        content: the content itself, for small made files.
        target: where a symbolic link points.
    """

    path: str
    kind: Kind
    mode: int
    size: int = 0
    source: Path | None = None
    content: bytes = b""
    target: str = ""


def made_file(path: str, content: bytes, *, executable: bool = False) -> Entry:
    """A file whose content is made here."""
    return Entry(path, Kind.FILE, EXECUTABLE_MODE if executable else FILE_MODE, len(content), content=content)


def directory(path: str, mode: int = DIRECTORY_MODE) -> Entry:
    """A directory."""
    return Entry(path, Kind.DIRECTORY, mode)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, Kind.SYMLINK, 0o777, target=target)


def plan_layer(entries: Iterable[Entry]) -> list[Entry]:
    """All entries in their one order, each after its parents; missing parents are added, the last of equal paths wins.

    Sorted by path segments, not by text: `a/b` stands before `a-b`, so a directory's content follows it directly.
    """
    planned: dict[str, Entry] = {}
    for entry in entries:
        planned[entry.path] = entry
    for path in list(planned):
        parent = posixpath.dirname(path)
        while parent and parent not in planned:
            planned[parent] = directory(parent)
            parent = posixpath.dirname(parent)
    return [planned[path] for path in sorted(planned, key=lambda path: path.split("/"))]
