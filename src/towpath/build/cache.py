"""The builder's cache: compressed layers by digest, and records that say which layer a key stands for.

    blobs/<hex>          a layer, exactly as it is pushed
    records/<hex>.json   what a key (hashed) gave: for a layer {"diffID", "digest", "size"}
    staging/             trees on their way into a layer
    packages/            downloads of the package installer, which keeps them itself

Everything appears by rename and may vanish at any time (pruned, deleted by hand, half a disk lost): a record counts
only while its blob is there in its full size, and bytes are hashed again on their way into a registry. Two builders may
share a cache. The directory is a cache in the full sense: deleting it costs time only.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from towpath.errors import TowpathError
from towpath.oci.digest import Digest
from towpath.oci.syntax import InvalidTextError

# Of files that are still being written; what a crash leaves of them is swept.
TEMPORARY_PREFIX = ".layer-"
# 2 GiB: some hundred images on a few bases; a homelab's disk does not notice.
DEFAULT_LIMIT_BYTES = 2 << 30
# What was used this recently is never pruned: another builder may be about to push it. It also is the age from which a
# temporary file counts as left behind by a crash.
_GRACE_SECONDS = 3600.0


class CacheError(TowpathError):
    """The cache directory cannot be written: no space or no permission."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A written layer.

    Attributes:
        diff_id: digest of the uncompressed tar; the layer's identity on every machine.
        digest: digest of the compressed file.
        size: bytes of the compressed file.
        fresh: whether there was no such file before it was written.
    """

    diff_id: Digest
    digest: Digest
    size: int
    fresh: bool = field(default=False, compare=False)


class LayerCache:
    """The cache below one directory. Blocks; callers run it in a thread."""

    def __init__(self, root: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.blobs = root / "blobs"
        self._records = root / "records"
        self._staging = root / "staging"
        self._limit_bytes = limit_bytes

    def prepare(self) -> None:
        """Create the directories.

        Raises:
            CacheError: they cannot be created.
        """
        with cache_errors(self.blobs.parent):
            self.blobs.mkdir(parents=True, exist_ok=True)
            self._records.mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> Layer | None:
        """The layer a key stands for, if it is complete; using it keeps it from being pruned."""
        document = self.find_record(key)
        try:
            layer = Layer(Digest.parse(document["diffID"]), Digest.parse(document["digest"]), int(document["size"]))
        except (KeyError, ValueError, TypeError, AttributeError, InvalidTextError):
            return None
        return layer if self.has(layer.digest, layer.size) else None

    def find_record(self, key: str) -> dict[str, Any]:
        """What was recorded under a key; empty when nothing, or nothing readable, was."""
        try:
            document = orjson.loads(self._record(key).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return document if isinstance(document, dict) else {}

    def has(self, digest: Digest, size: int) -> bool:
        """Whether a blob is there in its full size; using it keeps it from being pruned."""
        path = self.path(digest)
        try:
            found = path.stat().st_size
            os.utime(path)
        except OSError:
            return False
        return found == size

    def put(self, key: str, layer: Layer, **facts: Any) -> None:
        """Record which layer a key stands for, and what else is known of it.

        Raises:
            CacheError: no space, or no permission.
        """
        identity = {"diffID": str(layer.diff_id), "digest": str(layer.digest), "size": layer.size}
        self.put_record(key, {**facts, **identity})

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new directory for as long as the block lasts.

        Raises:
            CacheError: no space, or no permission.
        """
        with cache_errors(self._staging):
            self._staging.mkdir(parents=True, exist_ok=True)
            directory = Path(tempfile.mkdtemp(dir=self._staging))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def put_record(self, key: str, document: Mapping[str, Any]) -> None:
        """Record JSON under a key.

        Raises:
            CacheError: no space, or no permission.
        """
        with cache_errors(self._records):
            replace_file(self._record(key), orjson.dumps(document))

    def path(self, digest: Digest) -> Path:
        """Where a blob stands or would stand."""
        return self.blobs / digest.hex

    def discard(self, digest: Digest) -> None:
        """Forget a blob whose bytes are not what its name says; its records die with it."""
        self.path(digest).unlink(missing_ok=True)

    def prune(self, now: float) -> int:
        """Delete what was not used for longest until the limit holds, and what crashes left; returns bytes freed.

        Args:
            now: wall time in seconds since the epoch.
        """
        self._sweep_staging(now)
        freed = 0
        kept: list[tuple[float, int, Path]] = []
        for path in self._files():
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.name.startswith(".") and now - status.st_mtime > _GRACE_SECONDS:
                    path.unlink()
                    freed += status.st_size
                else:
                    kept.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in kept)
        for used, size, path in sorted(kept):
            if total <= self._limit_bytes or now - used <= _GRACE_SECONDS:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
                freed += size
        return freed

    def _sweep_staging(self, now: float) -> None:
        """Delete trees that a crash left behind."""
        for directory in self._staging.iterdir() if self._staging.is_dir() else ():
            with contextlib.suppress(OSError):
                if now - directory.stat().st_mtime > _GRACE_SECONDS:
                    shutil.rmtree(directory, ignore_errors=True)

    def _files(self) -> list[Path]:
        return [path for directory in (self.blobs, self._records) if directory.is_dir() for path in directory.iterdir()]

    def _record(self, key: str) -> Path:
        return self._records / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place in one step; unlike a store's files it need not survive a power cut."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def cache_errors(directory: Path) -> Iterator[None]:
    """Turn the file system's refusals into the builder's error."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise CacheError(
            f"build cache {directory} cannot be written (CacheUnwritable): {reason}",
            hint="free space or mend the permissions; the cache can be deleted at any time",
        ) from error
