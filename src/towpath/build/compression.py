"""The gzip coding of a layer: ISA-L where its wheel exists, zlib elsewhere; in blocks, so that threads can share it.

Each block is deflated on its own and ends on a byte boundary, and the blocks are joined to one gzip member: the bytes
do not depend on how many threads took part, and every gunzip reads them.

The header is fixed (no name, time 0, unknown system), so equal input gives equal bytes for one compressor. Another
compressor gives other bytes: an image's identity that lasts across machines is its diffIDs, never its layer digests.
"""

import gzip
import importlib
import struct
import zlib
from pathlib import Path
from typing import IO, Any

# RFC 1952, 2.3: magic, deflate, no flags, mtime 0, no extra flags, operating system unknown.
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# RFC 1951, 3.2.4: an empty last block; all the blocks before it are marked as not the last.
_END = b"\x03\x00"
# ISA-L 2: four percent larger than zlib 6 at six times its speed. zlib 1: half the time of 6, a tenth larger.
_ISAL_LEVEL = 2
_ZLIB_LEVEL = 1
_RAW_DEFLATE = -15


class BlockGzip:
    """One gzip member made of blocks; `deflate` may run in any thread, the rest runs in the order of the blocks."""

    def __init__(self, *, portable: bool = False) -> None:
        """Begin; `portable` takes the standard library's zlib even where ISA-L is installed."""
        isal = None if portable else _find_isal()
        self._library: Any = zlib if isal is None else isal
        self._level = _ZLIB_LEVEL if isal is None else _ISAL_LEVEL
        self._crc = 0
        self._size = 0

    def deflate(self, block: bytes) -> bytes:
        """A block's deflate bytes; touches nothing that is shared."""
        stream = self._library.compressobj(self._level, zlib.DEFLATED, _RAW_DEFLATE)
        head: bytes = stream.compress(block)
        return head + bytes(stream.flush(zlib.Z_SYNC_FLUSH))

    def count(self, block: bytes) -> None:
        """Add a block to the checksum."""
        self._crc = self._library.crc32(block, self._crc)
        self._size += len(block)

    def trailer(self) -> bytes:
        """What ends the member."""
        return _END + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)


def compressor_name() -> str:
    """Which compressor is in force, as recorded in cache keys."""
    return f"zlib-{_ZLIB_LEVEL}" if _find_isal() is None else f"isal-{_ISAL_LEVEL}"


def _find_isal() -> Any | None:
    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:  # no wheel for this processor
        return None


def open_gzip(path: Path) -> IO[bytes]:
    """Read a gzip file. Raises OSError, also for damaged content."""
    try:
        library: Any = importlib.import_module("isal.igzip")
    except ImportError:
        library = gzip
    opened: IO[bytes] = library.open(path, "rb")
    return opened
