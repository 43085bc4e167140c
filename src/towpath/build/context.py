"""Reads a service's directory: what goes into its layer, and the key by which an unchanged one is recognised.

The rules: regular files, directories with something in them (Git keeps no empty ones either, so a checkout and an
export give the same layer), and symbolic links that stay inside the directory. Version control, byte code and tool
caches are left out (`LEFT_OUT`), and no ignore file is read: who knows which files of a work tree count, names them.
Sockets, devices and pipes are refused by name. The only permission that counts is the owner's execute bit, as in Git.

The metadata key covers names, sizes, times and inodes: one `lstat` a file, no content read. Everything here blocks;
callers run it in a thread.
"""

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from towpath.build.entries import EXECUTABLE_MODE, FILE_MODE, BuildError, Entry, Kind
from towpath.errors import show_name

LEFT_OUT = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".towpath",
        ".venv",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".DS_Store",
    }
)
LEFT_OUT_SUFFIXES = (".pyc", ".pyo")
# A change within the resolution of a file system's clock can leave size and times as they were; FAT counts in 2 s.
RACY_SECONDS = 2.0
_READ_BYTES = 1 << 20


class ContextError(BuildError):
    """A service's directory cannot become a layer."""


@dataclass(frozen=True, slots=True)
class Context:
    """A service's directory as read.

    Attributes:
        entries: files and links, in a stable order; paths are relative to the directory.
        metadata_key: changes whenever a file may have changed.
        newest_change: the latest change of any entry, in seconds since the epoch.
    """

    entries: tuple[Entry, ...]
    metadata_key: str
    newest_change: float

    def names(self) -> frozenset[str]:
        """The paths of all files and links."""
        return frozenset(entry.path for entry in self.entries)

    def without(self, names: frozenset[str]) -> "Context":
        """The same without some files; the metadata key still covers them, since what is left out follows from it."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.path not in names))


def read_context(directory: Path, *, label: str = "", only: frozenset[str] | None = None) -> Context:
    """Walk a service's directory.

    Args:
        directory: where it is.
        label: what to call it when it is missing or empty; its own path when not given.
        only: the files that count, relative to it; None for all.

    Raises:
        ContextError: it is missing or empty, or holds something that cannot be put into an image.
    """
    shown = label or str(directory)
    if not directory.is_dir():
        raise ContextError(
            f"directory {shown} cannot be read (ContextMissing): it does not exist or is no directory",
            hint="create it with a main.py, or remove the service from towpath.yaml",
        )
    entries: list[Entry] = []
    key = hashlib.sha256()
    newest = 0.0
    for path, full in _walk(directory, "") if only is None else _listed(directory, only):
        try:
            status = os.lstat(full)
            entry = _entry(path, Path(full), status)
        except OSError as error:
            raise _unreadable(f"file {show_name(path)}", error) from error
        newest = max(newest, status.st_mtime, status.st_ctime)
        entries.append(entry)
        facts = (path, entry.kind.name, status.st_mode, status.st_size, status.st_ino, entry.target)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        key.update(repr((facts, times)).encode())
    if not entries:
        raise ContextError(
            f"directory {shown} cannot be built (ContextEmpty): there is no file in it",
            hint="add a main.py, or remove the service from towpath.yaml",
        )
    return Context(tuple(entries), key.hexdigest(), newest)


def read_chunks(entry: Entry) -> Iterator[bytes]:
    """The content of a file entry, exactly `entry.size` bytes of it.

    Raises:
        ContextError: the file vanished, cannot be read, or changed its size since the walk.
    """
    if entry.source is None:
        yield entry.content
        return
    remaining = entry.size
    try:
        # O_NOFOLLOW: a file swapped for a link after the walk must not pull in what the link points to. Plain
        # descriptors: a file object costs as much again as the three calls that a small file needs.
        descriptor = os.open(entry.source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            while True:
                wanted = min(_READ_BYTES, remaining + 1)
                chunk = os.read(descriptor, wanted)
                remaining -= len(chunk)
                if remaining < 0:
                    break
                yield chunk
                if len(chunk) < wanted:
                    break  # of a regular file, only the end comes short
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(f"file {show_name(entry.path)}", error) from error
    if remaining != 0:
        raise ContextError(
            f"file {show_name(entry.path)} changed while it was read (ContextChanged): expected {entry.size} bytes",
            hint="build again when nothing writes to the directory",
        )


def _listed(directory: Path, only: frozenset[str]) -> Iterator[tuple[str, str]]:
    for path in sorted(only, key=lambda path: path.split("/")):
        parts = path.split("/")
        full = f"{directory}/{path}"
        if LEFT_OUT.isdisjoint(parts) and not path.endswith(LEFT_OUT_SUFFIXES) and os.path.lexists(full):
            _check_name(path)
            if os.path.islink(full) or not os.path.isdir(full):  # noqa: PTH112, PTH114 - as above; a submodule
                yield path, full


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(directory) as scan:
            items = sorted(scan, key=lambda item: item.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ContextError(
            f"directory {show_name(prefix or directory.name)} cannot be read (ContextUnreadable): {reason}"
        ) from error
    for item in items:
        if item.name in LEFT_OUT or item.name.endswith(LEFT_OUT_SUFFIXES):
            continue
        path = f"{prefix}{item.name}"
        _check_name(path)
        if item.is_dir(follow_symlinks=False):
            yield from _walk(Path(item.path), f"{path}/")
        else:
            yield path, item.path


def _entry(path: str, source: Path, status: os.stat_result) -> Entry:
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, Kind.SYMLINK, 0o777, target=_checked_target(path, str(source.readlink())))
    if not stat.S_ISREG(status.st_mode):
        raise ContextError(
            f"{show_name(path)} cannot be put into an image (SpecialFile): it is a {_special(status.st_mode)}",
            hint="remove it; a service's directory holds files, directories and links",
        )
    executable = bool(status.st_mode & stat.S_IXUSR)
    return Entry(path, Kind.FILE, EXECUTABLE_MODE if executable else FILE_MODE, status.st_size, source=source)


def _unreadable(subject: str, error: OSError) -> ContextError:
    return ContextError(f"{subject} cannot be read (ContextUnreadable): {error.strerror or error}")


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = show_name(os.fsencode(path).decode(errors="backslashreplace"))
        raise ContextError(
            f"{shown} cannot be put into an image (BadName): its name is not UTF-8", hint="rename it"
        ) from error


def _checked_target(path: str, target: str) -> str:
    _check_name(target)
    landing = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if target.startswith("/") or landing == ".." or landing.startswith("../"):
        raise ContextError(
            f"link {show_name(path)} leaves the service's directory (LinkEscapes): it points to {show_name(target)}",
            hint="copy the file into the directory, or link to it by a relative path inside",
        )
    return target


def _special(mode: int) -> str:
    names = {
        stat.S_IFSOCK: "socket",
        stat.S_IFIFO: "pipe",
        stat.S_IFBLK: "block device",
        stat.S_IFCHR: "character device",
    }
    return names.get(stat.S_IFMT(mode), "special file")
