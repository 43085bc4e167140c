"""An installed tree of packages as entries of a layer, the same on every machine.

Left out is what an installer writes about itself and its machine: INSTALLER, REQUESTED, direct_url.json, its caches and
locks, byte code. RECORD stays without their lines, sorted. Scripts get the image's Python as their interpreter.
"""

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from towpath.build import bytecode
from towpath.build.elf import ElfError, read_program
from towpath.build.entries import EXECUTABLE_MODE, FILE_MODE, Entry, Kind, made_file
from towpath.build.image import LockedPackage

DEPENDENCIES = "/opt/dependencies"
BIN = f"{DEPENDENCIES}/bin"
_ABOUT_INSTALLER = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_FIELD = re.compile(r"^(Name|Version):\s*(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Installed:
    """A tree of packages.

    Attributes:
        entries: of its layer.
        packages: what is in it.
        scripts: the names of its console scripts.
        needs: the names of shared libraries that its extension modules need and that are not among them.
    """

    entries: tuple[Entry, ...]
    packages: tuple[LockedPackage, ...]
    scripts: frozenset[str]
    needs: frozenset[str] = frozenset()


def read_installed(target: Path, *, python: str, compiler: Path | None, staging: Path) -> Installed:
    """Read a tree. Blocks.

    Args:
        target: where the packages were installed.
        python: the image's interpreter.
        compiler: the interpreter to compile byte code with; None for no byte code.
        staging: a directory for compiled files.

    Raises:
        TowpathError: the compiler failed.
    """
    prefix = DEPENDENCIES.lstrip("/")
    entries: list[Entry] = []
    packages: list[LockedPackage] = []
    scripts: set[str] = set()
    sources: list[tuple[str, Path]] = []
    libraries: dict[str, frozenset[str]] = {}
    for name, path in _files(target, ""):
        place = f"{prefix}/{name}"
        if name.startswith("bin/"):
            scripts.add(name.removeprefix("bin/"))
            entries.append(made_file(place, _script(path.read_bytes(), python), executable=True))
        elif name.endswith(".dist-info/RECORD"):
            entries.append(made_file(place, _record(path.read_text())))
        else:
            entries.append(_entry(place, path))
            if name.endswith(".dist-info/METADATA"):
                packages.append(_package(path.read_text(errors="replace")))
            if name.endswith(".py"):
                sources.append((place, path))
            if ".so" in path.name:
                libraries[path.name] = _needed(path)
    if compiler is not None:
        entries += _compiled(compiler, sources, staging)
    needs = frozenset().union(*libraries.values()) - libraries.keys()
    ordered = sorted(packages, key=lambda one: one.name.lower())
    return Installed(tuple(entries), tuple(ordered), frozenset(scripts), needs)


def _files(directory: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    with os.scandir(directory) as scan:
        items = sorted(scan, key=lambda item: item.name)
    for item in items:
        name = f"{prefix}{item.name}"
        if item.is_dir(follow_symlinks=False):
            if item.name != "__pycache__":
                yield from _files(Path(item.path), f"{name}/")
        elif not _is_about_installer(name):
            yield name, Path(item.path)


def _is_about_installer(name: str) -> bool:
    parent, _, last = name.rpartition("/")
    return name == ".lock" or (parent.endswith(".dist-info") and last in _ABOUT_INSTALLER)


def _entry(place: str, path: Path) -> Entry:
    status = path.stat()
    mode = EXECUTABLE_MODE if status.st_mode & 0o100 else FILE_MODE
    return Entry(place, Kind.FILE, mode, status.st_size, source=path)


def _needed(path: Path) -> frozenset[str]:
    try:
        return frozenset(read_program(path.read_bytes()).libraries)
    except ElfError:
        return frozenset()  # not every file with such a name is a library


def _script(content: bytes, python: str) -> bytes:
    """A console script that is run by the image's Python; programs of other kinds stay as they are."""
    head, newline, rest = content.partition(b"\n")
    if head.startswith(b"#!") and b"python" in head:
        return b"#!" + python.encode() + newline + rest
    # Where the interpreter's path is long, installers write `#!/bin/sh` and the real one into a second line.
    if head == b"#!/bin/sh" and rest.startswith(b"'''exec' "):
        return b"#!" + python.encode() + b"\n" + rest.partition(b"' '''\n")[2]
    return content


def _record(text: str) -> bytes:
    """RECORD without the files that are left out; of a script only the name, for its first line is ours."""
    rows = []
    for row in csv.reader(io.StringIO(text)):
        name = row[0] if row else ""
        while name.startswith("../"):
            name = name.removeprefix("../")
        if not name or _is_about_installer(name) or "__pycache__" in name.split("/"):
            continue
        rows.append([name, "", ""] if name.startswith("bin/") else [name, *row[1:]])
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(sorted(rows))
    return written.getvalue().encode()


def _package(metadata: str) -> LockedPackage:
    # Headers end at the first empty line; a description may quote some.
    fields = dict(_FIELD.findall(metadata.partition("\n\n")[0]))
    return LockedPackage(fields.get("Name", ""), fields.get("Version", ""))


def _compiled(compiler: Path, sources: list[tuple[str, Path]], staging: Path) -> Iterator[Entry]:
    shown = {path: f"/{place}" for place, path in sources}
    compiled = bytecode.compile_sources(compiler, [path for _, path in sources], staging, shown=shown)
    for place, path in sources:
        if path in compiled:
            yield made_file(bytecode.bytecode_name(place), compiled[path])
