"""Copies images and artifacts between registries by digest: all that hangs below a manifest, and what refers to it.

Rules:
- Bytes are copied as they are, so every digest stays what it was.
- The order is that of dependence: blobs, then the manifest that needs them, then its index, then what refers to it, and
  the tag last. A copy that is cut off has published nothing; the next one goes on from what is there.
- A blob is looked for, then mounted from a repository of the target that has it, and sent only when neither helps.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode
from towpath.oci.manifest import Index, Manifest, RawManifest
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullCause, PullError, PushError
from towpath.ociclient.responses import read_manifest

# Four: one slow blob does not hold up the rest, and no registry takes it for an attack.
BLOBS_AT_ONCE = 4
# An attestation of an image may be signed, and that signature be counter-signed; deeper is a circle.
REFERRER_DEPTH = 3


class Outcome(StrEnum):
    """How a blob got to where it is."""

    PRESENT = "present"
    MOUNTED = "mounted"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Copied:
    """What one copy did: how many blobs were there, mounted and sent, and how many bytes were sent."""

    digest: Digest
    present: int = 0
    mounted: int = 0
    sent: int = 0
    bytes_sent: int = 0


class Copier:
    """Copies from one client's registries to another's. It remembers where blobs are, so use one for a whole set."""

    def __init__(
        self,
        source: RegistryClient,
        target: RegistryClient,
        *,
        on_bytes: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """Prepare; `on_bytes` is told how many bytes of blobs were sent, as they go."""
        self._source = source
        self._target = target
        self._on_bytes = on_bytes
        self._slots = asyncio.Semaphore(BLOBS_AT_ONCE)
        self._homes: dict[tuple[str, Digest], str] = {}

    async def copy(self, source: Reference, target: Reference, *, referrers: bool = True) -> Copied:
        """Copy what `source` names into the repository of `target`, and give it `target`'s tag if that has one.

        Raises:
            PullError, PushError, IntegrityError: what was copied until then stays.
            TagTakenError: the tag names something else and never moves.
        """
        raw = await self._source.manifest(source)
        tally = _Tally()
        await self._copy_manifest(source, target, raw, tally)
        if referrers:
            await self._copy_referrers(source, target, raw, tally, REFERRER_DEPTH)
        if target.tag:
            await self._put(replace(target, digest=None), raw)
        return replace(tally.copied, digest=raw.digest)

    async def copy_index(self, source: Reference, target: Reference, homes: Mapping[Digest, Reference]) -> None:
        """Copy an index whose entries are in other repositories of the target. Raises as `put_index`, and PullError."""
        raw = await self._source.manifest(source)
        await self.put_index(raw.content, target, homes)

    async def put_index(self, content: bytes, target: Reference, homes: Mapping[Digest, Reference]) -> None:
        """Push an index whose entries are in other repositories of the target, as `homes` says.

        Our own registry takes such an index as it is. One that wants the entries in the same repository gets them.

        Raises:
            PushError, TagTakenError, PullError, IntegrityError.
        """
        raw = RawManifest(content, media.OCI_INDEX, Digest.of(content))
        try:
            await self._put(target, raw)
        except PushError as error:
            if not _WANTS_ENTRIES & set(error.failure.codes):
                raise
            within = Copier(self._target, self._target)
            for digest, home in homes.items():
                await within.copy(home.with_digest(digest), replace(target, tag="", digest=None), referrers=False)
            await self._put(target, raw)

    async def _copy_manifest(self, source: Reference, target: Reference, raw: RawManifest, tally: "_Tally") -> None:
        parsed = read_manifest(source, raw.content, raw.media_type)
        if isinstance(parsed, Manifest):
            blobs = {blob.digest: blob for blob in parsed.blobs if not media.is_nondistributable(blob.media_type)}
            await _run_all(self._copy_blob(source, target, blob, tally) for blob in blobs.values())
        else:
            await self._copy_entries(source, target, parsed, tally)
        await self._put(replace(target, tag="", digest=raw.digest), raw)

    async def _copy_entries(self, source: Reference, target: Reference, index: Index, tally: "_Tally") -> None:
        for entry in index.manifests:
            child = replace(source, tag="", digest=entry.digest)
            await self._copy_manifest(child, target, await self._source.manifest(child), tally)

    async def _copy_referrers(
        self, source: Reference, target: Reference, raw: RawManifest, tally: "_Tally", depth: int
    ) -> None:
        for entry in await self._source.referrers(source.with_digest(raw.digest)) if depth else ():
            child = replace(source, tag="", digest=entry.digest)
            found = await self._source.manifest(child)
            await self._copy_manifest(child, target, found, tally)
            await self._copy_referrers(child, target, found, tally, depth - 1)

    async def _copy_blob(self, source: Reference, target: Reference, blob: Descriptor, tally: "_Tally") -> None:
        async with self._slots:
            outcome = await self._place_blob(source, target, blob)
        self._homes.setdefault((target.registry, blob.digest), target.repository)
        tally.add(outcome, blob.size)

    async def _place_blob(self, source: Reference, target: Reference, blob: Descriptor) -> Outcome:
        sent = 0

        async def open_blob() -> AsyncIterator[bytes]:
            nonlocal sent
            self._on_bytes(-sent)  # a repeated upload counts once
            sent = 0
            async with aclosing(self._source.blob(source, blob)) as pieces:
                async for piece in pieces:
                    sent += len(piece)
                    self._on_bytes(len(piece))
                    yield piece

        if await self._target.find_blob(target, blob.digest) is not None:
            return Outcome.PRESENT
        same = source.repository if source.registry == target.registry else ""
        home = self._homes.get((target.registry, blob.digest), same)
        if await self._target.push_blob(target, blob, open_blob, mount_from=home):
            return Outcome.SENT
        return Outcome.MOUNTED if home else Outcome.PRESENT

    async def _put(self, target: Reference, raw: RawManifest) -> None:
        if await self._find(target) != raw.digest:
            await self._target.push_manifest(target, raw.content, raw.media_type)

    async def _find(self, target: Reference) -> Digest | None:
        try:
            return (await self._target.resolve(target)).digest
        except PullError as error:
            if error.cause is not PullCause.NOT_FOUND:
                raise
            return None


class _Tally:
    """Counts while several blobs are on their way."""

    def __init__(self) -> None:
        self.copied = Copied(Digest.of(b""))

    def add(self, outcome: Outcome, size: int) -> None:
        done = self.copied
        if outcome is Outcome.SENT:
            self.copied = replace(done, sent=done.sent + 1, bytes_sent=done.bytes_sent + size)
        elif outcome is Outcome.MOUNTED:
            self.copied = replace(done, mounted=done.mounted + 1)
        else:
            self.copied = replace(done, present=done.present + 1)


async def _run_all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all at once; the first failure ends the others and is raised by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


_WANTS_ENTRIES = frozenset(
    {ErrorCode.MANIFEST_BLOB_UNKNOWN, ErrorCode.MANIFEST_UNKNOWN, ErrorCode.MANIFEST_INVALID, ErrorCode.BLOB_UNKNOWN}
)
