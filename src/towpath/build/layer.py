"""Writes a layer: entries in, a gzip tar and its two digests out, in one pass and in bounded memory.

    entries -> tar bytes -> sha256 (diffID)
                         -> blocks -> gzip, by threads -> sha256 (digest) -> file

The file appears under its digest in one rename; a crash leaves at most a temporary file, which the cache sweeps.
Blocks the caller, who runs it in a thread (reading, hashing and compressing release the interpreter lock).
"""

import hashlib
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self

from towpath.build.cache import TEMPORARY_PREFIX, Layer
from towpath.build.compression import HEADER, BlockGzip
from towpath.build.context import read_chunks
from towpath.build.entries import Entry, Kind, plan_layer
from towpath.build.tarball import BLOCK, END, format_header, padding
from towpath.oci.digest import Digest

# Half a megabyte: a service of some megabytes is shared evenly by two threads, and a block costs a thousandth of it.
_BLOCK_BYTES = 512 * 1024
# Four: one thread reads at 300 MB/s, so that more could not be fed.
_MOST_THREADS = 4
# Blocks on their way for each thread: bounds memory when the disk is slower than the compressor.
_QUEUED = 4


def write_layer(entries: Iterable[Entry], blobs: Path, *, portable: bool = False) -> Layer:
    """Write a layer into the directory `blobs`, under the hex of its digest.

    Raises:
        ContextError: a file vanished, cannot be read, or changed meanwhile.
        OSError: no space, or no permission.
    """
    planned = plan_layer(entries)
    return _write(blobs, lambda sink: _stream(planned, sink), portable=portable)


def pack_tar(tar: Path, blobs: Path) -> Layer:
    """Write a layer of a tar that another program made, byte for byte.

    Raises:
        OSError: it cannot be read, no space, or no permission.
    """

    def copy(sink: "_Sink") -> None:
        with tar.open("rb", buffering=0) as file:
            while chunk := file.read(_BLOCK_BYTES):
                sink.write(chunk)

    return _write(blobs, copy, portable=False)


def _write(blobs: Path, fill: Callable[["_Sink"], None], *, portable: bool) -> Layer:
    handle, temporary = tempfile.mkstemp(dir=blobs, prefix=TEMPORARY_PREFIX)
    try:
        with os.fdopen(handle, "wb", buffering=0) as file, _Sink(file, portable=portable) as sink:
            fill(sink)
            layer = sink.finish()
            os.fchmod(handle, 0o644)
        target = blobs / layer.digest.hex
        fresh = not target.exists()
        # In any case: what stands there may be damaged.
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return replace(layer, fresh=fresh)


def _stream(entries: list[Entry], sink: "_Sink") -> None:
    for entry in entries:
        sink.write(format_header(entry))
        if entry.kind is Kind.FILE:
            for chunk in read_chunks(entry):
                sink.write(chunk)
            if entry.size % BLOCK:
                sink.write(padding(entry.size))
    sink.write(END)


class _Sink:
    """Cuts the tar bytes into blocks, hashes them in order, and has threads compress them."""

    def __init__(self, file: BinaryIO, *, portable: bool) -> None:
        self._file = file
        self._gzip = BlockGzip(portable=portable)
        self._diff_id = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._size = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        threads = min(os.cpu_count() or 1, _MOST_THREADS)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="layer")
        self._compressing: deque[Future[bytes]] = deque()
        self._most_compressing = threads * _QUEUED

    def __enter__(self) -> Self:
        self._out(HEADER)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _BLOCK_BYTES:
            self._feed()

    def finish(self) -> Layer:
        self._feed()
        while self._compressing:
            self._out(self._compressing.popleft().result())
        self._out(self._gzip.trailer())
        return Layer(
            Digest("sha256", self._diff_id.hexdigest()), Digest("sha256", self._digest.hexdigest()), self._size
        )

    def _feed(self) -> None:
        block = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._compressing.append(self._pool.submit(self._gzip.deflate, block))
        self._diff_id.update(block)
        self._gzip.count(block)
        while self._compressing and (self._compressing[0].done() or len(self._compressing) > self._most_compressing):
            self._out(self._compressing.popleft().result())

    def _out(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)
        self._file.write(data)
