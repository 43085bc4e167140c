"""Byte code of libraries in the one form that needs no check at start: PEP 552's unchecked hash.

An image's files have one fixed time, so byte code that records its source's time would never match and every start
would compile again (0.15 s for `http.server` and `json` instead of 0.03 s). What the host already compiled is taken
over with a new header; what is missing is compiled by a child process, for compiling holds the interpreter lock. The
file name inside the code is the host's, if none is given; the import system replaces it by the real one. The child's
hash seed is fixed, because it decides the order of sets among a module's constants.
"""

import importlib.util
import json
import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from towpath.errors import TowpathError

_UNCHECKED_HASH = 0b01
_HEADER_BYTES = 16
_COMPILE_TIMEOUT_SECONDS = 300
# Runs in the child: compiles each [source, destination, name]; a source that does not compile stays without byte code.
_COMPILER = """
import json, py_compile, sys, warnings
warnings.simplefilter("ignore")
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for source, destination, name in json.load(sys.stdin):
    py_compile.compile(source, destination, name, quiet=2, invalidation_mode=mode)
"""


def bytecode_name(source_name: str) -> str:
    """Where Python looks for the byte code of a source: `json/tool.py` -> `json/__pycache__/tool.cpython-311.pyc`."""
    return importlib.util.cache_from_source(source_name, optimization="")


def find_bytecode(source: Path) -> bytes | None:
    """The byte code the host keeps for `source`, with an unchecked header; None when there is none that fits."""
    try:
        content = Path(bytecode_name(str(source))).read_bytes()
        source_bytes = source.read_bytes()
        status = source.stat()
    except OSError:
        return None
    if len(content) <= _HEADER_BYTES or content[:4] != importlib.util.MAGIC_NUMBER:
        return None
    flags, recorded_time, recorded_size = struct.unpack("<III", content[4:_HEADER_BYTES])
    source_hash = importlib.util.source_hash(source_bytes)
    if flags == 0:
        fits = recorded_time == int(status.st_mtime) & 0xFFFFFFFF and recorded_size == status.st_size & 0xFFFFFFFF
    else:
        fits = content[8:_HEADER_BYTES] == source_hash
    if not fits:
        return None
    return content[:4] + struct.pack("<I", _UNCHECKED_HASH) + source_hash + content[_HEADER_BYTES:]


def compile_sources(
    interpreter: Path, sources: Sequence[Path], staging: Path, *, shown: Mapping[Path, str] | None = None
) -> dict[Path, bytes]:
    """Byte code of `sources`, compiled by a child of `interpreter`; what does not compile is left out.

    Args:
        interpreter: whose byte code it is to be.
        sources: the files.
        staging: an existing directory for what is compiled.
        shown: the file names to write into the code; a source's own path where there is none.

    Raises:
        TowpathError: the child failed.
    """
    names = shown or {}
    jobs = [
        (str(source), str(staging / f"{index}.pyc"), names.get(source, str(source)))
        for index, source in enumerate(sources)
    ]
    if not jobs:
        return {}
    try:
        subprocess.run(
            [interpreter, "-S", "-c", _COMPILER],
            input=json.dumps(jobs).encode(),
            check=True,
            capture_output=True,
            timeout=_COMPILE_TIMEOUT_SECONDS,
            env={**_without_python_settings(), "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TowpathError(f"libraries cannot be compiled (CompileFailed): {error}") from error
    compiled = {}
    for source, destination, _ in jobs:
        path = Path(destination)
        if path.is_file():
            compiled[Path(source)] = path.read_bytes()
    return compiled


def _without_python_settings() -> dict[str, str]:
    """Our environment without what changes how Python starts or compiles; `-I` would also ignore the hash seed."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith("PYTHON") and key != "SOURCE_DATE_EPOCH"
    }
