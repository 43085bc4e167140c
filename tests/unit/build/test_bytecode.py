"""Byte code that needs no check: taken from the host where it fits, compiled where it is missing."""

import importlib.util
import marshal
import os
import py_compile
import struct
import sys
from pathlib import Path

import pytest

from towpath.build.bytecode import bytecode_name, compile_sources, find_bytecode
from towpath.errors import TowpathError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text("VALUE = 42\n")
    return path


def value_of(content: bytes) -> object:
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert struct.unpack("<I", content[4:8]) == (1,), "unchecked hash"
    namespace: dict[str, object] = {}
    exec(marshal.loads(content[16:]), namespace)  # noqa: S102, S302 - our own byte code
    return namespace["VALUE"]


def test_timestamped_byte_code_of_the_host_gets_an_unchecked_header(source: Path) -> None:
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    found = find_bytecode(source)

    assert found is not None
    assert value_of(found) == 42


def test_hashed_byte_code_of_the_host_is_taken_when_the_hash_fits(source: Path) -> None:
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    found = find_bytecode(source)

    assert found is not None
    assert value_of(found) == 42


@pytest.mark.parametrize(
    "mode", [py_compile.PycInvalidationMode.TIMESTAMP, py_compile.PycInvalidationMode.UNCHECKED_HASH]
)
def test_stale_byte_code_is_not_taken(source: Path, mode: py_compile.PycInvalidationMode) -> None:
    py_compile.compile(str(source), invalidation_mode=mode)
    source.write_text("VALUE = 43\n")
    os.utime(source, (1, 1))

    assert find_bytecode(source) is None


@pytest.mark.parametrize("damage", [b"", b"short", bytes(40)])
def test_damaged_or_foreign_byte_code_is_not_taken(source: Path, damage: bytes) -> None:
    path = Path(bytecode_name(str(source)))
    path.parent.mkdir()
    path.write_bytes(damage)

    assert find_bytecode(source) is None


def test_missing_byte_code_is_compiled_and_a_broken_source_left_out(source: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def (\n")
    staging = tmp_path / "staging"
    staging.mkdir()
    compiled = compile_sources(Path(sys.executable), [source, broken], staging)

    assert list(compiled) == [source]
    assert value_of(compiled[source]) == 42
    assert find_bytecode(source) is None, "nothing is written beside the source"


def test_an_interpreter_that_does_not_start_is_an_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(TowpathError, match="CompileFailed"):
        compile_sources(tmp_path / "no-python", [source], tmp_path)
