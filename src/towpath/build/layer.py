"""Writes a layer: entries in, a gzip tar and its two digests out, in one pass and in bounded memory.

    entries -> tar bytes -> sha256 (diffID)
                         -> gzip -> sha256 (digest) -> file

The file appears under its digest in one rename; a crash leaves at most a temporary file, which the cache sweeps.
Blocks; callers run it in a thread (hashing and compressing release the interpreter lock).
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from towpath.build.compression import GzipStream
from towpath.build.context import read_chunks
from towpath.build.entries import Entry, Kind, plan_layer
from towpath.build.tarball import END, format_header, padding
from towpath.oci.digest import Digest

TEMPORARY_PREFIX = ".layer-"
# Small files are gathered into pieces of this size: one call of hash and compressor for many headers.
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Layer:
    """A written layer.

    Attributes:
        diff_id: digest of the uncompressed tar; the layer's identity on every machine.
        digest: digest of the compressed file.
        size: bytes of the compressed file.
    """

    diff_id: Digest
    digest: Digest
    size: int


def write_layer(entries: Iterable[Entry], blobs: Path, *, portable: bool = False) -> Layer:
    """Write a layer into the directory `blobs`, under the hex of its digest.

    Raises:
        ContextError: a file vanished, cannot be read, or changed meanwhile.
        OSError: no space, or no permission.
    """
    handle, temporary = tempfile.mkstemp(dir=blobs, prefix=TEMPORARY_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            layer = _stream(plan_layer(entries), file, portable=portable)
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(blobs / layer.digest.hex)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return layer


def _stream(entries: list[Entry], file: BinaryIO, *, portable: bool) -> Layer:
    sink = _Sink(file, portable=portable)
    for entry in entries:
        sink.write(format_header(entry))
        if entry.kind is Kind.FILE:
            for chunk in read_chunks(entry):
                sink.write(chunk)
            sink.write(padding(entry.size))
    sink.write(END)
    return sink.finish()


class _Sink:
    """Feeds the tar bytes to both digests and the compressor, in pieces worth a call."""

    def __init__(self, file: BinaryIO, *, portable: bool) -> None:
        self._file = file
        self._gzip = GzipStream(portable=portable)
        self._diff_id = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._size = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _PIECE_BYTES:
            self._feed()

    def finish(self) -> Layer:
        self._feed()
        self._out(self._gzip.finish())
        return Layer(
            Digest("sha256", self._diff_id.hexdigest()), Digest("sha256", self._digest.hexdigest()), self._size
        )

    def _feed(self) -> None:
        piece = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._diff_id.update(piece)
        self._out(self._gzip.compress(piece))

    def _out(self, data: bytes) -> None:
        if data:
            self._digest.update(data)
            self._size += len(data)
            self._file.write(data)
