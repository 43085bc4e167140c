"""Reading ELF: this machine's own interpreter, and damaged or foreign files."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from towpath.build.elf import ElfError, find_loader, is_elf, without_debug_sections
from towpath.build.host_files import Interpreter


def make_elf(*, bits: int, order: str, tail: bytes) -> bytes:
    """A program with one loader segment and one loaded segment, and `tail` behind them."""
    wide = bits == 64
    header_size, entry_size = (64, 56) if wide else (52, 32)
    loader = b"/lib/ld.so\0"
    data = header_size + 2 * entry_size
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    words = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    end = data + len(loader)
    header = ident + struct.pack(order + words, 3, 62, 1, 0, header_size, end, 0, header_size, entry_size, 2, 64, 5, 4)
    segments = b""
    for kind, offset, size in ((3, data, len(loader)), (1, 0, end)):
        if wide:
            segments += struct.pack(order + "IIQQQQQQ", kind, 4, offset, 0, 0, size, size, 1)
        else:
            segments += struct.pack(order + "IIIIIIII", kind, offset, 0, 0, size, size, 4, 1)
    return header + segments + loader + tail


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_loader_is_found_in_every_word_size_and_byte_order(bits: int, order: str) -> None:
    assert find_loader(make_elf(bits=bits, order=order, tail=b"")) == "/lib/ld.so"


@pytest.mark.parametrize("bits", [32, 64])
def test_what_stands_behind_the_segments_is_cut_and_the_section_table_forgotten(bits: int) -> None:
    whole = make_elf(bits=bits, order="<", tail=b"debug" * 100)
    cut = without_debug_sections(whole)

    assert len(cut) == len(whole) - 500
    assert find_loader(cut) == "/lib/ld.so"
    section_offset = struct.unpack_from("<Q", cut, 40)[0] if bits == 64 else struct.unpack_from("<I", cut, 32)[0]
    assert section_offset == 0


def test_a_file_with_nothing_behind_its_segments_stays_as_it_is() -> None:
    whole = make_elf(bits=64, order="<", tail=b"")

    assert without_debug_sections(whole) is whole


def test_a_cut_interpreter_still_runs(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_bytes(without_debug_sections(Interpreter.running().executable.read_bytes()))
    program.chmod(0o755)
    done = subprocess.run(
        [program, "-I", "-c", "print(6 * 7)"], env={"PYTHONHOME": sys.base_prefix}, capture_output=True, check=False
    )

    assert done.stdout == b"42\n"


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x09" + bytes(100)])
def test_what_is_no_elf_file_is_refused(content: bytes) -> None:
    assert not is_elf(content)
    with pytest.raises(ElfError, match="NotElf"):
        find_loader(content)


@pytest.mark.parametrize("kept", [70, 120, 180])
def test_a_truncated_file_is_refused(kept: int) -> None:
    with pytest.raises(ElfError, match="Truncated"):
        find_loader(make_elf(bits=64, order="<", tail=b"")[:kept])
