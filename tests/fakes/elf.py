"""The headers of programs and libraries, without any code in them."""

import struct

X86_64 = 62


def elf(machine: int = X86_64, *, loader: str = "", needed: tuple[str, ...] = ()) -> bytes:
    """A 64-bit ELF program with nothing but headers, and the tables a dynamic one has."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    offsets = [names.index(name.encode()) for name in needed]
    segments: list[tuple[int, bytes]] = []
    if loader:
        segments.append((3, loader.encode() + b"\0"))
    if needed:
        segments.append((1, names))
        # The address of the string table is 0x1000 above its place in the file; filled in below.
        segments.append((2, b""))
    table, position = b"", 64 + 56 * len(segments)
    body, names_at = b"", 0
    for kind, content in segments:
        start = position + len(body)
        if kind == 1:
            names_at = start
        if kind == 2:
            tags = [(1, offset) for offset in offsets] + [(5, names_at + 0x1000), (0, 0)]
            content = b"".join(struct.pack("<qQ", *tag) for tag in tags)  # noqa: PLW2901 - only now known
        table += struct.pack("<IIQQQQQQ", kind, 4, start, start + 0x1000, 0, len(content), len(content), 1)
        body += content
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    return header + table + body + b"\0"
