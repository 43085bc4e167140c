"""The little of an ELF file that a builder needs: what it runs on, what it needs, how much of it a loader ever reads.

System V ABI, chapters 4 and 5; 32 and 64 bits, either byte order. Pure.
"""

import struct
from dataclasses import dataclass

from towpath.errors import UserError

_PT_LOAD = 1
_PT_DYNAMIC = 2
_PT_INTERP = 3
_DT_NEEDED = 1
_DT_STRTAB = 5
# e_machine -> the name of the architecture in OCI's words; what else there is comes out as its number.
_MACHINES = {3: "386", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64"}


class ElfError(UserError):
    """A file that should be an ELF program or library is not."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields stand, by word size."""

    header: str
    segment: str
    offset: int
    address: int
    size: int
    dynamic: str
    # (offset, length) of e_shoff and of e_shentsize..e_shstrndx in the file header.
    section_fields: tuple[tuple[int, int], tuple[int, int]]


_LAYOUTS = {
    1: _Layout("HHIIIIIHHHHHH", "IIIIIIII", 1, 2, 4, "iI", section_fields=((32, 4), (48, 4))),
    2: _Layout("HHIQQQIHHHHHH", "IIQQQQQQ", 2, 3, 5, "qQ", section_fields=((40, 8), (60, 4))),
}


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Program:
    """What a program asks of the machine and the image it runs on.

    Attributes:
        architecture: as in `linux/<architecture>`.
        loader: the path of its dynamic loader; empty for a static program.
        libraries: the shared libraries it names itself, in its order.
    """

    architecture: str
    loader: str
    libraries: tuple[str, ...]


def is_elf(content: bytes) -> bool:
    """Whether these bytes begin as an ELF file does."""
    return content[:4] == b"\x7fELF" and len(content) > 64 and content[4] in _LAYOUTS


def find_loader(content: bytes) -> str | None:
    """The path of the dynamic loader a program asks for (PT_INTERP); None for a static one.

    Raises:
        ElfError: this is no ELF file, or a damaged one.
    """
    for segment in _segments(content):
        if segment.kind == _PT_INTERP:
            return content[segment.offset : segment.offset + segment.size].rstrip(b"\0").decode(errors="replace")
    return None


def read_program(content: bytes) -> Program:
    """What a program needs.

    Raises:
        ElfError: this is no ELF file, or a damaged one.
    """
    _, _, header = _header(content)
    machine = int(header[1])
    return Program(_MACHINES.get(machine, f"machine-{machine}"), find_loader(content) or "", _needed(content))


def _needed(content: bytes) -> tuple[str, ...]:
    order, layout, _ = _header(content)
    segments = _segments(content)
    dynamic = next((segment for segment in segments if segment.kind == _PT_DYNAMIC), None)
    if dynamic is None:
        return ()
    entry = struct.Struct(order + layout.dynamic)
    whole = dynamic.size - dynamic.size % entry.size
    tags = list(entry.iter_unpack(content[dynamic.offset : dynamic.offset + whole]))
    table = next((value for tag, value in tags if tag == _DT_STRTAB), None)
    # The table is named by its address in memory; a loaded segment says where that is in the file.
    home = next(
        (
            segment
            for segment in segments
            if segment.kind == _PT_LOAD and table is not None and 0 <= table - segment.address < segment.size
        ),
        None,
    )
    if table is None or home is None:
        return ()
    start = home.offset + table - home.address
    names = []
    for offset in [value for tag, value in tags if tag == _DT_NEEDED]:
        end = content.find(b"\0", start + offset)
        names.append(content[start + offset : end].decode(errors="replace"))
    return tuple(names)


def without_debug_sections(content: bytes) -> bytes:
    """The file up to the end of its last loaded segment, without a section table.

    Loaders read segments only; symbols and debug information that compilers put behind them can be three quarters of
    an interpreter's library. A file with nothing behind the segments comes back as it is.

    Raises:
        ElfError: this is no ELF file, or a damaged one.
    """
    layout = _LAYOUTS[content[4]] if is_elf(content) else None
    table_end = _table_end(content)
    end = max([table_end, *(segment.offset + segment.size for segment in _segments(content))])
    if layout is None or end >= len(content):
        return content
    kept = bytearray(content[:end])
    for offset, length in layout.section_fields:
        kept[offset : offset + length] = bytes(length)
    return bytes(kept)


def _segments(content: bytes) -> list[_Segment]:
    order, layout, header = _header(content)
    table, entry_size, count = header[4], header[8], header[9]
    segments = []
    for index in range(count):
        try:
            fields = struct.unpack_from(order + layout.segment, content, table + index * entry_size)
        except struct.error as error:
            raise ElfError(f"ELF file cannot be read (Truncated): its program header {index} is missing") from error
        segment = _Segment(fields[0], fields[layout.offset], fields[layout.address], fields[layout.size])
        if segment.offset + segment.size > len(content):
            raise ElfError(f"ELF file cannot be read (Truncated): segment {index} ends behind the file")
        segments.append(segment)
    return segments


def _table_end(content: bytes) -> int:
    _, _, header = _header(content)
    return int(header[4]) + int(header[8]) * int(header[9])


def _header(content: bytes) -> tuple[str, _Layout, tuple[int, ...]]:
    if not is_elf(content):
        raise ElfError(f"file cannot be read (NotElf): it begins with {content[:4]!r}")
    order = "<" if content[5] == 1 else ">"
    layout = _LAYOUTS[content[4]]
    return order, layout, struct.unpack_from(order + layout.header, content, 16)
