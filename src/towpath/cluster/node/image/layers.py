"""The unpacked layers of this node: `layers/<diffID>/root`, shared by all images.

A layer directory is whole or absent: it is unpacked beside its place and renamed. Digest and diffID are verified. Pulls
of one layer at the same time share one download. After a power cut the page cache is lost, so a layer is trusted in a
later boot only if its `synced` mark, written after a sync of the file system, is there; a mere `kill -9` costs nothing.
What one layer may take is bounded (`tarball.Bounds`), and never so much that the disk is full for everyone else on it.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from towpath.cluster.node.image.compression import check_media_type, decompression_errors, open_layer
from towpath.cluster.node.image.tarball import Bounds, LayerError, too_large, unpack
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest

ROOT = "root"
RECORD = "layer.json"
SYNCED = "synced"
_TEMPORARY_PREFIX = "unpack-"
_READ_BYTES = 256 * 1024
# By then the kernel has written most of it by itself, and the sync holds nobody up.
SYNC_DELAY_SECONDS = 45.0
# Repository, registry and database are on the same disk and must go on: a twentieth of it, 256 MiB of a large one.
SPARED_PART, MOST_SPARED_BYTES = 20, 256 << 20
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Layer:
    """An unpacked layer. `hides` means that it holds whiteouts or opaque directories."""

    diff_id: Digest
    root: Path
    whiteouts: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()

    @property
    def hides(self) -> bool:
        """Whether it removes something of the layers below."""
        return bool(self.whiteouts or self.opaque)


class LayerStore:
    """Layers by diffID, under one directory. One event loop; unpacking runs in threads."""

    def __init__(self, directory: Path, *, bounds: Bounds | None = None) -> None:
        """Open the store and remove what a crash left behind."""
        self._directory = directory
        self._bounds = bounds or Bounds()
        self._boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
        self._running: dict[Digest, asyncio.Task[Layer]] = {}
        self._unsynced: set[Digest] = set()
        self._syncing: asyncio.Task[None] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()

    def find(self, diff_id: Digest) -> Layer | None:
        """The layer, if it is unpacked."""
        try:
            record = json.loads((self._directory / diff_id.hex / RECORD).read_bytes())
        except FileNotFoundError:
            return None
        root = self._directory / diff_id.hex / ROOT
        return Layer(diff_id, root, tuple(record["whiteouts"]), tuple(record["opaque"]))

    async def ensure(self, diff_id: Digest, descriptor: Descriptor, fetch: Callable[[], AsyncIterator[bytes]]) -> Layer:
        """The layer, downloaded and unpacked if it is not there. Callers at the same time share the work.

        Raises:
            LayerError: the blob or the tar is damaged or refused; nothing of it stays.
            OSError: no space.
        """
        found = self.find(diff_id)
        if found is not None:
            return found
        task = self._running.get(diff_id)
        if task is None:
            task = asyncio.create_task(self._add(diff_id, descriptor, fetch), name=f"layer {diff_id}")
            self._running[diff_id] = task
            task.add_done_callback(lambda done: self._finished(diff_id, done))
        return await asyncio.shield(task)

    def prune(self, keep: Collection[Digest]) -> list[Digest]:
        """Remove layers that are neither kept nor being unpacked."""
        kept = {digest.hex for digest in (*keep, *self._running)}
        removed = []
        for path in self._directory.iterdir():
            if path.name not in kept and not path.name.startswith(_TEMPORARY_PREFIX):
                remove_tree(path)
                removed.append(Digest("sha256", path.name))
        return removed

    async def close(self) -> None:
        """Cancel what is being unpacked."""
        tasks: list[asyncio.Task[Any]] = list(self._running.values())
        if self._syncing is not None:
            tasks.append(self._syncing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, diff_id: Digest, task: asyncio.Task[Layer]) -> None:
        self._running.pop(diff_id, None)
        if not task.cancelled():
            task.exception()  # every waiter may have been cancelled meanwhile

    async def _add(self, diff_id: Digest, descriptor: Descriptor, fetch: Callable[[], AsyncIterator[bytes]]) -> Layer:
        compression = check_media_type(descriptor.media_type)
        bounds = self._bounds_now()
        if descriptor.size > bounds.size_bytes:
            what = f"{descriptor.size} bytes packed, and at most {bounds.size_bytes} are taken{bounds.ground}"
            raise too_large(f"layer {descriptor.digest}", what)
        working = Path(tempfile.mkdtemp(dir=self._directory, prefix=_TEMPORARY_PREFIX))
        try:
            await _download(fetch(), descriptor, working / "blob")
            unpacking = asyncio.ensure_future(
                asyncio.to_thread(self._unpack, working, diff_id, descriptor.digest, compression)
            )
            try:
                await asyncio.shield(unpacking)
            except asyncio.CancelledError:
                # A thread cannot be cancelled; its directory may go only when it has ended.
                await asyncio.wait({unpacking})
                raise
            (working / "layer").rename(self._directory / diff_id.hex)
        finally:
            await asyncio.to_thread(remove_tree, working)
        layer = self.find(diff_id)
        if layer is None:
            raise LayerError(f"layer {diff_id} vanished after it was unpacked (Removed): {self._directory}")
        self._unsynced.add(diff_id)
        if self._syncing is None or self._syncing.done():
            # Not waited for: the container only needs the page cache.
            self._syncing = asyncio.create_task(self._sync(), name="sync of layers")
        return layer

    def _unpack(self, working: Path, diff_id: Digest, digest: Digest, compression: str) -> None:
        layer = working / "layer"
        (layer / ROOT).mkdir(parents=True)
        (layer / ROOT).chmod(0o755)  # whatever the umask: it is the container's /
        with open_layer(working / "blob", compression) as stream:
            hashed = _HashingReader(stream, diff_id.algorithm, self._bounds.size_bytes)
            try:
                # type: all that tarfile's stream mode does is read
                found = unpack(hashed, layer / ROOT, self._bounds_now())  # type: ignore[arg-type]
                hashed.drain()
            except decompression_errors() as error:
                raise LayerError(f"layer {digest} could not be unpacked (BadGzip): {error}") from error
        if hashed.hexdigest() != diff_id.hex:
            raise LayerError(
                f"layer {digest} is not what the image says (DiffID): expected {diff_id}, "
                f"got {diff_id.algorithm}:{hashed.hexdigest()}"
            )
        record = {"boot_id": self._boot_id, "whiteouts": found.whiteouts, "opaque": found.opaque}
        (layer / RECORD).write_text(json.dumps(record))

    def _bounds_now(self) -> Bounds:
        """The bounds, tightened by what the disk has left."""
        disk = shutil.disk_usage(self._directory)
        spare = max(disk.free - min(disk.total // SPARED_PART, MOST_SPARED_BYTES), 0)
        if spare >= self._bounds.size_bytes:
            return self._bounds
        return replace(self._bounds, size_bytes=spare, ground=", because the disk has no more to spare")

    async def _sync(self) -> None:
        while self._unsynced:
            await asyncio.sleep(SYNC_DELAY_SECONDS)
            batch, self._unsynced = self._unsynced, set()
            await asyncio.to_thread(os.sync)
            for diff_id in batch:
                with contextlib.suppress(FileNotFoundError):
                    (self._directory / diff_id.hex / SYNCED).touch()

    def _remove_leftovers(self) -> None:
        for path in self._directory.iterdir():
            if path.name.startswith(_TEMPORARY_PREFIX) or not self._is_trusted(path):
                remove_tree(path)

    def _is_trusted(self, path: Path) -> bool:
        if (path / SYNCED).exists():
            return True
        try:
            return bool(json.loads((path / RECORD).read_bytes())["boot_id"] == self._boot_id)
        except (OSError, ValueError, KeyError):
            return False


def remove_tree(path: Path) -> None:
    """Remove a directory of unpacked files, whatever their modes."""

    def open_up(directory: Path) -> None:
        directory.chmod(0o700)
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                open_up(Path(entry.path))

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:
        open_up(path)
        shutil.rmtree(path)


async def _download(chunks: AsyncIterator[bytes], descriptor: Descriptor, target: Path) -> None:
    hasher = hashlib.new(descriptor.digest.algorithm)
    size = 0
    with target.open("wb") as file:
        async for chunk in chunks:
            hasher.update(chunk)
            size += len(chunk)
            if size > descriptor.size:
                break  # whatever else comes, it is not what was announced
            file.write(chunk)
    if hasher.hexdigest() != descriptor.digest.hex or size != descriptor.size:
        raise LayerError(
            f"layer {descriptor.digest} is damaged (Digest): expected {descriptor.size} bytes, "
            f"got {size} bytes with digest {descriptor.digest.algorithm}:{hasher.hexdigest()}"
        )


class _HashingReader:
    """Reads through a stream and hashes all of it, up to a bound."""

    def __init__(self, stream: IO[bytes], algorithm: str, most_bytes: int) -> None:
        self._stream = stream
        self._most_bytes = self._left_bytes = most_bytes
        self._hasher = hashlib.new(algorithm)

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            raise too_large("layer", f"its tar takes more than {self._most_bytes} bytes")
        self._hasher.update(content)
        return content

    def drain(self) -> None:
        while self.read(_READ_BYTES):
            pass

    def hexdigest(self) -> str:
        return self._hasher.hexdigest()
