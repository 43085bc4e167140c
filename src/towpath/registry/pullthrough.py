"""Pull-through: repositories below a prefix are those of another registry, fetched at the first pull and kept.

Rules:
- Content is stored by digest and verified on the way in, as if it had been pushed; a manifest comes before its blobs.
- What a digest names never changes, so it is fetched once. A tag is asked for again when the last answer has aged; an
  upstream that cannot be asked leaves the answer that is there, and says so in the log.
- One fetch at a time for each thing: a hundred pulls of one image cost the upstream one.
- Nobody pushes into such a repository, and nobody's pull fetches anything before the right to read was checked.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.errors import RemoteError
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode
from towpath.oci.tags import is_immutable
from towpath.registry.blobs import Blobs
from towpath.registry.errors import RegistryError
from towpath.registry.manifests import Manifests

log = logging.getLogger(__name__)

# Five minutes: a channel upstream is seen soon, and a rate limit of some hundred requests an hour is far away.
FRESH_SECONDS = 300.0


class UpstreamError(RemoteError):
    """The upstream could not be asked, or answered with what it must not."""


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest as the upstream has it."""

    content: bytes
    media_type: str


class Upstream(Protocol):
    """Another registry, seen from the repositories below one prefix. All methods raise UpstreamError."""

    @property
    def name(self) -> str:
        """What people call it: `docker.io`, `ghcr.io/me`."""
        ...

    async def find_digest(self, repository: str, tag: str) -> Digest | None:
        """What a tag names right now; None when there is no such tag."""
        ...

    async def find_manifest(self, repository: str, digest: Digest) -> FetchedManifest | None:
        """A manifest; None when it is not there."""
        ...

    async def find_blob(self, repository: str, digest: Digest) -> AsyncIterator[bytes] | None:
        """A blob in pieces; None when it is not there."""
        ...


class PullThrough:
    """The prefixes of one registry that are filled from elsewhere."""

    def __init__(self, *, blobs: Blobs, manifests: Manifests, upstreams: Mapping[str, Upstream], clock: Clock) -> None:
        """Prepare.

        Args:
            blobs: keep what was fetched.
            manifests: keep what was fetched.
            upstreams: by prefix: `{"hub": …}` makes `hub/library/redis` the upstream's `library/redis`.
            clock: ages the answers about tags.
        """
        self._blobs = blobs
        self._manifests = manifests
        self._upstreams = dict(upstreams)
        self._clock = clock
        self._asked: dict[tuple[str, str], float] = {}
        self._fetching: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End the fetches under way; what they had is thrown away."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def covers(self, repository: str) -> bool:
        """Whether the repository is a copy."""
        return self._find(repository) is not None

    def refuse_writing(self, repository: str) -> None:
        """Let nobody write where an upstream decides. Raises RegistryError (DENIED)."""
        found = self._find(repository)
        if found is not None:
            message = f"repository {repository} is a copy of {found[0].name}/{found[1]}: push there"
            raise RegistryError(ErrorCode.DENIED, message)

    async def prepare_manifest(self, repository: str, reference: str) -> None:
        """See to it that a manifest can be read; it is not there afterwards when the upstream has none either.

        Raises:
            RegistryError: the upstream failed, and nothing is kept that could stand in.
        """
        found = self._find(repository)
        if found is None:
            return
        upstream, name = found
        if ":" in reference:
            digest = Digest.parse(reference)
            if not self._has_manifest(repository, reference):
                await self._once(repository, reference, lambda: self._fetch(upstream, name, repository, digest, ()))
        else:
            await self._once(repository, reference, lambda: self._follow(upstream, name, repository, reference))

    async def prepare_blob(self, repository: str, digest: Digest) -> None:
        """See to it that a blob can be read, as `prepare_manifest`."""
        found = self._find(repository)
        if found is None or self._blobs.find_size(repository, digest) is not None:
            return
        upstream, name = found
        await self._once(repository, str(digest), lambda: self._fetch_blob(upstream, name, repository, digest))

    async def _once(self, repository: str, what: str, fetch: Callable[[], Awaitable[None]]) -> None:
        """Join the fetch that is under way, or begin one. It outlives the client that asked first."""
        key = (repository, what)
        task = self._fetching.get(key)
        if task is None:
            task = asyncio.ensure_future(fetch())
            self._fetching[key] = task
            task.add_done_callback(lambda _: self._fetching.pop(key, None))
        try:
            await asyncio.shield(task)
        except UpstreamError as error:
            raise RegistryError(ErrorCode.UNKNOWN, error.message, status=502) from error

    async def _follow(self, upstream: Upstream, name: str, repository: str, tag: str) -> None:
        kept = self._kept_digest(repository, tag)
        if kept is not None and (is_immutable(tag) or self._is_fresh(repository, tag)):
            return
        try:
            digest = await upstream.find_digest(name, tag)
            if digest is not None and digest != kept:
                await self._fetch(upstream, name, repository, digest, (tag,))
        except UpstreamError as error:
            if kept is None:
                raise
            log.warning("%s:%s is served as it was last seen: %s", repository, tag, error.message)
            return
        self._asked[repository, tag] = self._clock.monotonic()

    async def _fetch(
        self, upstream: Upstream, name: str, repository: str, digest: Digest, tags: tuple[str, ...]
    ) -> None:
        found = await upstream.find_manifest(name, digest)
        if found is None:
            return
        if Digest.of(found.content, digest.algorithm) != digest:
            raise UpstreamError(f"{upstream.name}/{name} has other content under {digest} (DigestMismatch)")
        await self._manifests.put(
            repository, found.content, media_type=found.media_type, digest=digest, tags=tags, sparse=True
        )

    async def _fetch_blob(self, upstream: Upstream, name: str, repository: str, digest: Digest) -> None:
        pieces = await upstream.find_blob(name, digest)
        if pieces is None:
            return
        blobs = self._blobs
        upload = await blobs.start_upload(repository)
        async with upload.lock:
            try:
                await blobs.append(upload, pieces)
                await blobs.finish_upload(repository, upload, digest)
            except BaseException:
                if not upload.ended:
                    await blobs.cancel_upload(upload)
                raise

    def _find(self, repository: str) -> tuple[Upstream, str] | None:
        """The upstream of a repository and its name there."""
        prefix, _, rest = repository.partition("/")
        upstream = self._upstreams.get(prefix)
        return None if upstream is None or not rest else (upstream, rest)

    def _is_fresh(self, repository: str, tag: str) -> bool:
        asked = self._asked.get((repository, tag))
        return asked is not None and self._clock.monotonic() - asked < FRESH_SECONDS

    def _kept_digest(self, repository: str, tag: str) -> Digest | None:
        try:
            return self._manifests.get(repository, tag).digest
        except RegistryError:
            return None

    def _has_manifest(self, repository: str, digest: str) -> bool:
        return self._kept_digest(repository, digest) is not None
