"""Tar headers, byte for byte: POSIX ustar, and a PAX record only where ustar has no room.

Pure. Owner 0:0 without names and one fixed time for every entry: equal entries give equal bytes on any machine. PAX
(POSIX.1-2001) carries paths and link targets that are long or not ASCII, and sizes from 8 GiB.
"""

from towpath.build.entries import Entry, Kind

BLOCK = 512
# Two empty blocks end an archive (POSIX.1-2001, pax, "ustar Interchange Format").
END = bytes(2 * BLOCK)
# 1980-01-01: the oldest time a zip archive can hold, so that programs which zip their own files work in the image.
ENTRY_TIME = 315532800

_NAME_BYTES = 100
_PREFIX_BYTES = 155
_LARGEST_SIZE = 8**11 - 1
# "ustar", version 00, user and group without names, device 0:0.
_MAGIC_AND_DEVICE = b"ustar\x0000" + bytes(64) + b"%07o\0%07o\0" % (0, 0)
_AFTER_DEVICE = 167
_CONSTANT_SUM = sum(_MAGIC_AND_DEVICE) + 8 * 0x20


def format_header(entry: Entry) -> bytes:
    """The header blocks of one entry, its PAX record first where one is needed."""
    path = entry.path + "/" if entry.kind is Kind.DIRECTORY else entry.path
    records: dict[str, str] = {}
    prefix, name = _split(path)
    if not name:
        records["path"] = path
        name = _shortened(path)
    link = entry.target.encode()
    if len(link) > _NAME_BYTES or not entry.target.isascii():
        records["linkpath"] = entry.target
        link = _shortened(entry.target)
    size = entry.size
    if size > _LARGEST_SIZE:
        records["size"] = str(size)
        size = 0
    header = _block(name, prefix, kind=entry.kind.value, mode=entry.mode, size=size, link=link)
    return (_pax(records) if records else b"") + header


def padding(size: int) -> bytes:
    """What fills the last block of a file of `size` bytes."""
    return bytes(-size % BLOCK)


def _split(path: str) -> tuple[bytes, bytes]:
    """Prefix and name as ustar divides a path at a slash; an empty name when it does not fit."""
    raw = path.encode()
    if not path.isascii():
        return b"", b""
    if len(raw) <= _NAME_BYTES:
        return b"", raw
    # The name keeps the trailing slash of a directory, so the last byte is never the place to divide.
    cut = raw.find(b"/", len(raw) - _NAME_BYTES - 1, -1)
    if 0 < cut <= _PREFIX_BYTES:
        return raw[:cut], raw[cut + 1 :]
    return b"", b""


def _shortened(path: str) -> bytes:
    """A stand-in for readers that do not know PAX."""
    return path.encode("ascii", "replace")[-_NAME_BYTES:].lstrip(b"/")


def _pax(records: dict[str, str]) -> bytes:
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    header = _block(b"PaxHeader", b"", kind=b"x", mode=0o644, size=len(body), link=b"")
    return header + body + padding(len(body))


def _record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    # The length counts its own digits: add them until it is stable.
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _block(name: bytes, prefix: bytes, *, kind: bytes, mode: int, size: int, link: bytes) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, ENTRY_TIME)
    head = name.ljust(_NAME_BYTES, b"\0") + numbers
    tail = kind + link.ljust(_NAME_BYTES, b"\0") + _MAGIC_AND_DEVICE + prefix.ljust(_AFTER_DEVICE, b"\0")
    # The sum counts its own field as eight blanks, and zeros count for nothing.
    checksum = sum(name) + sum(numbers) + sum(kind) + sum(link) + sum(prefix) + _CONSTANT_SUM
    return head + b"%06o\0 " % checksum + tail
