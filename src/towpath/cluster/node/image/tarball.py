"""Layer tars, unpacked so that nothing can land outside of the layer's own directory.

Refused, naming the entry: names that are absolute or climb (`..`), entries written through a symbolic link that leaves
the layer, hard links to what is not in the layer, device nodes. Bounded (`Bounds`): bytes, entries, names, headers;
a few kilobytes of gzip can stand for more than any disk holds. Whiteouts are recorded, not written: `rootfs` applies
them. Owners are not kept, because a sandbox maps one user only; set-user-id bits are dropped for the same reason.
Blocking code: `layers` runs it in a thread.
"""
# A path object for each of some thousand entries would cost more than unpacking them.
# ruff: noqa: PTH100, PTH101, PTH102, PTH106, PTH108, PTH112, PTH114, PTH115, PTH211

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from towpath.errors import IntegrityError

WHITEOUT_PREFIX = ".wh."
OPAQUE_MARKER = ".wh..wh..opq"
_COPY_BYTES = 256 * 1024
# As the kernel does: more links than this in one path is a loop.
_MOST_LINKS = 40
# PATH_MAX: no system call takes a longer name.
_MOST_NAME_BYTES = 4096
# `tarfile` reads an extended header into memory whole; real ones hold a path and some times.
_MOST_HEADER_BYTES = 1024 * 1024
_EXTENDED_HEADERS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)


class LayerError(IntegrityError):
    """A layer that cannot be unpacked, or that is not what its digest says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one layer may take.

    The defaults are some ten times the largest common base images (Playwright, CUDA: below 5 GiB and 100,000 entries
    in one layer are rare), and what a small machine can still hold.
    """

    size_bytes: int = 8 << 30  # of files as unpacked, and of the tar itself
    entries: int = 1_000_000
    name_bytes: int = 256 << 20  # of all names together, which are held in memory: 256 for each entry
    ground: str = ""  # why size_bytes is what it is, appended to the refusal


@dataclass(slots=True)
class Unpacked:
    """What a tar held, apart from the files themselves. Paths are relative to the layer."""

    whiteouts: list[str] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    entries: int = 0


def unpack(stream: IO[bytes], target: Path, bounds: Bounds | None = None) -> Unpacked:
    """Unpack an uncompressed tar into the existing, empty directory `target`.

    Raises:
        LayerError: the tar is damaged, refused or beyond its bounds; `target` holds a part of it.
        OSError: no space, no permission.
    """
    unpacking = _Unpacking(target, bounds or Bounds())
    try:
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=1, tarinfo=_BoundedEntry) as tar:
            for member in tar:
                unpacking.add(tar, member)
                # It keeps every entry for a second look that nobody takes. (Documented; the stubs do not know it.)
                tar.members.clear()  # type: ignore[attr-defined]
        # A stream tar ends at its end marker; what follows still belongs to the digest and is read by the caller.
    except (tarfile.TarError, ValueError, OverflowError) as error:  # the last two: a time that no file can have
        raise LayerError(f"layer could not be unpacked (BadTar): {error}") from error
    unpacking.finish()
    return unpacking.found


class _BoundedEntry(tarfile.TarInfo):
    """An entry whose extended header cannot fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_BoundedEntry":
        made = super().frombuf(buf, encoding, errors)
        if made.type in _EXTENDED_HEADERS and made.size > _MOST_HEADER_BYTES:
            raise too_large("an extended header", f"{made.size} bytes, and at most {_MOST_HEADER_BYTES} are read")
        return made


class _Unpacking:
    def __init__(self, root: Path, bounds: Bounds) -> None:
        self._root = os.path.abspath(root)
        self._bounds = bounds
        self._left_bytes = bounds.size_bytes
        self._left_name_bytes = bounds.name_bytes
        self.found = Unpacked()
        # Directories known to be real ones inside the root; forgotten whenever a link may have taken their place.
        self._known: dict[str, str] = {"": self._root}
        self._modes: dict[str, int] = {}

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._count_entry(member)
        name = _clean_name(member.name)
        if not name:
            return  # the root directory itself
        parent, _, leaf = name.rpartition("/")
        if leaf.startswith(WHITEOUT_PREFIX):
            self._add_whiteout(parent, leaf, name)
            return
        directory = self._directory(parent, name)
        path = f"{directory}/{leaf}"
        if member.isdir():
            self._add_directory(path, member)
            return
        self._clear(path, name)
        if member.isreg():
            self._write_file(tar, member, path)
        elif member.issym():
            os.symlink(member.linkname, path)
            self._known = {"": self._root}
        elif member.islnk():
            self._add_hard_link(member, path, name)
        elif member.isfifo():
            os.mkfifo(path, member.mode & 0o777)
        else:
            raise LayerError(
                f"layer entry {name!r} is refused (DeviceNode): only files, directories and links are allowed"
            )

    def finish(self) -> None:
        """Give directories their modes last, so that a read-only one could be filled."""
        for path, mode in sorted(self._modes.items(), reverse=True):
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, mode)

    def _count_entry(self, member: tarfile.TarInfo) -> None:
        self.found.entries += 1
        if self.found.entries > self._bounds.entries:
            raise too_large("layer", f"it has more than {self._bounds.entries} entries")
        if max(len(member.name), len(member.linkname)) > _MOST_NAME_BYTES:
            raise too_large("a name", f"more than {_MOST_NAME_BYTES} bytes: {member.name[:80]!r}…")
        self._left_name_bytes -= len(member.name)
        if self._left_name_bytes < 0:
            raise too_large("layer", f"its names take more than {self._bounds.name_bytes} bytes")

    def _write_file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        content = tar.extractfile(member)
        # 0o400: the owner must be able to read it, because a sandbox maps its user to this one.
        mode = member.mode & 0o777 | 0o400
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        # A file object and not `os.write`, which on a nearly full disk takes a part and calls that a success.
        with os.fdopen(descriptor, "wb") as file:
            for chunk in _chunks(content):
                # Counted as written: the size in a header may be a sparse file's, or a lie.
                self._left_bytes -= len(chunk)
                if self._left_bytes < 0:
                    raise too_large(
                        "layer", f"its files take more than {self._bounds.size_bytes} bytes{self._bounds.ground}"
                    )
                file.write(chunk)
            file.flush()
            os.fchmod(descriptor, mode)
            # The time matters: an interpreter compares it with the one its compiled files carry.
            os.utime(descriptor, (member.mtime, member.mtime))

    def _add_whiteout(self, parent: str, leaf: str, name: str) -> None:
        if leaf == OPAQUE_MARKER:
            self.found.opaque.append(parent)
            return
        hidden = leaf.removeprefix(WHITEOUT_PREFIX)
        if hidden in {"", ".", ".."}:
            raise LayerError(f"layer entry {name!r} is refused (BadWhiteout): it names no file")
        self.found.whiteouts.append(f"{parent}/{hidden}" if parent else hidden)

    def _add_directory(self, path: str, member: tarfile.TarInfo) -> None:
        try:
            made = os.lstat(path)
        except FileNotFoundError:
            os.mkdir(path, 0o700)
        else:
            if not stat.S_ISDIR(made.st_mode):
                self._clear(path, path)
                os.mkdir(path, 0o700)
        self._modes[path] = member.mode & 0o1777 | 0o700

    def _add_hard_link(self, member: tarfile.TarInfo, path: str, name: str) -> None:
        target_name = _clean_name(member.linkname)
        parent, _, leaf = target_name.rpartition("/")
        target = f"{self._directory(parent, name)}/{leaf}"
        try:
            os.link(target, path, follow_symlinks=False)
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise LayerError(
                f"layer entry {name!r} is refused (BadHardLink): target {member.linkname!r} is not a file of the layer"
            ) from error

    def _clear(self, path: str, name: str) -> None:
        """A later entry replaces an earlier one of the same name, but never a directory that is in use."""
        try:
            made = os.lstat(path)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(made.st_mode):
            try:
                os.rmdir(path)
            except OSError as error:
                raise LayerError(
                    f"layer entry {name!r} is refused (Replaced): it replaces a filled directory"
                ) from error
        else:
            os.unlink(path)
        self._known = {"": self._root}

    def _directory(self, parent: str, name: str) -> str:
        """The real directory `parent`, made if it is missing; links are followed while they stay inside."""
        known = self._known.get(parent)
        if known is None:
            known = self._known[parent] = self._resolve(parent, name)
        return known

    def _resolve(self, parent: str, name: str) -> str:
        waiting = parent.split("/")[::-1]
        reached: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not reached:
                    raise _escapes(name)
                reached.pop()
                continue
            path = "/".join([self._root, *reached, part])
            try:
                made = os.lstat(path)
            except FileNotFoundError:
                os.mkdir(path, 0o755)
            else:
                if stat.S_ISLNK(made.st_mode):
                    links += 1
                    target = os.readlink(path)
                    if target.startswith("/") or links > _MOST_LINKS:
                        raise _escapes(name)
                    waiting += target.split("/")[::-1]
                    continue
                if not stat.S_ISDIR(made.st_mode):
                    raise LayerError(f"layer entry {name!r} is refused (NotADirectory): {part!r} above it is a file")
            reached.append(part)
        return "/".join([self._root, *reached])


def _clean_name(name: str) -> str:
    if name.startswith("/"):
        raise LayerError(f"layer entry {name!r} is refused (AbsoluteName): names in a layer are relative to its root")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise LayerError(f"layer entry {name!r} is refused (ClimbsOut): its name leaves the layer")
    if "\0" in name:
        raise LayerError(f"layer entry {name!r} is refused (BadName): it holds a NUL character")
    return "/".join(parts)


def too_large(subject: str, what: str) -> LayerError:
    """The refusal of something beyond its bounds."""
    return LayerError(
        f"{subject} is refused (TooLarge): {what}", hint="make the image smaller, or split what it installs over layers"
    )


def _escapes(name: str) -> LayerError:
    return LayerError(f"layer entry {name!r} is refused (LinkEscape): a symbolic link above it leaves the layer")


def _chunks(content: IO[bytes] | None) -> Iterator[bytes]:
    while content is not None and (chunk := content.read(_COPY_BYTES)):
        yield chunk
