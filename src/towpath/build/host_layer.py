"""Writes the layer of the base `host`, once for a Python: two seconds of compiling and compressing.

Rules: sources and unchecked byte code of the standard library (compiling `http.server` and what it imports takes longer
than starting it); binaries without debug sections. Which files: `host_files`; when: `host_base`. Blocks.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from towpath.build import bytecode
from towpath.build.cache import Layer, LayerCache
from towpath.build.elf import is_elf, without_debug_sections
from towpath.build.entries import EXECUTABLE_MODE, FILE_MODE, Entry, Kind, made_file
from towpath.build.host_files import HostFile, Interpreter, made_entries
from towpath.build.layer import write_layer


def write_host_layer(cache: LayerCache, interpreter: Interpreter, files: list[HostFile]) -> Layer:
    """Write it into the cache. Raises OSError and BuildError."""
    entries = [_entry(file) for file in files]
    with tempfile.TemporaryDirectory(prefix="towpath-host-") as staging:
        compiled = list(_bytecode_entries(interpreter, files, Path(staging)))
    return write_layer([*entries, *compiled, *made_entries(interpreter)], cache.blobs)


def _entry(file: HostFile) -> Entry:
    mode = EXECUTABLE_MODE if file.executable else FILE_MODE
    if file.binary:
        content = file.source.read_bytes()
        if is_elf(content):
            return made_file(file.path, without_debug_sections(content), executable=file.executable)
    return Entry(file.path, Kind.FILE, mode, file.source.stat().st_size, source=file.source)


def _bytecode_entries(interpreter: Interpreter, files: list[HostFile], staging: Path) -> Iterator[Entry]:
    missing: list[HostFile] = []
    for file in files:
        if not file.path.endswith(".py"):
            continue
        found = bytecode.find_bytecode(file.source)
        if found is None:
            missing.append(file)
        else:
            yield made_file(bytecode.bytecode_name(file.path), found)
    compiled = bytecode.compile_sources(interpreter.executable, [file.source for file in missing], staging)
    for file in missing:
        if file.source in compiled:
            yield made_file(bytecode.bytecode_name(file.path), compiled[file.source])
