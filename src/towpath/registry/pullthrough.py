"""Pull-through: repositories below a prefix are those of another registry, fetched at the first pull and kept.

Rules:
- Content is stored by digest and verified on the way in, as if it had been pushed; a manifest comes before its blobs.
- What a digest names never changes, so it is fetched once. A tag is asked for again when the last answer has aged; an
  upstream that cannot be asked leaves the answer that is there, and says so in the log.
- What refers to a manifest (signatures, SBOMs) is fetched when its referrers are asked for, and listed with what is
  kept; the list ages as a tag does. A list of tags is the upstream's own, not kept.
- What is damaged here counts as absent: the next pull fetches it again.
- What the upstream has not is asked for again after half a minute, so that guessing costs it little.
- One fetch at a time for each thing: a hundred pulls of one image cost the upstream one.
- Nobody pushes into such a repository, and nobody's pull fetches anything before the right to read was checked.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.errors import RemoteError
from towpath.http.pouring import Pieces
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode
from towpath.oci.tags import is_immutable
from towpath.registry.blobs import Blobs
from towpath.registry.errors import DamagedContentError, RegistryError
from towpath.registry.manifests import Manifests

log = logging.getLogger(__name__)

Tags = tuple[list[str], bool]

# Five minutes: a channel upstream is seen soon, and a rate limit of some hundred requests an hour is far away.
FRESH_SECONDS = 300.0
# Half a minute: who has just pushed it there waits no longer, and a client that asks in a loop reaches nobody.
ABSENT_SECONDS = 30.0
# A megabyte of memory at most; whoever makes names up only ages the answers about real ones sooner.
REMEMBERED_ANSWERS = 4096
# 100: more than an image has, each a small manifest; whoever lists a million of them upstream fills no disk here.
REFERRERS_LIMIT = 100


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

    async def find_referrers(self, repository: str, digest: Digest) -> Sequence[Digest]:
        """The manifests whose subject this is."""
        ...

    async def find_tags(self, repository: str, *, after: str, limit: int) -> Tags | None:
        """Tags after `after`, at most so many, and whether there are more; None when there is no such repository."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """When an upstream was last asked for something, and whether it had it."""

    at: float
    is_there: bool


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
        self._answers: OrderedDict[tuple[str, str], _Answer] = OrderedDict()
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
            if self._kept_digest(repository, reference) is None and not self._is_absent(repository, reference):
                await self._once(repository, reference, lambda: self._fetch(upstream, name, repository, digest, ()))
        else:
            follow = partial(self._follow, upstream, name, repository, reference)
            await self._once(repository, reference, follow, ages=True)

    async def prepare_blob(self, repository: str, digest: Digest) -> None:
        """See to it that a blob can be read, as `prepare_manifest`."""
        found = self._find(repository)
        if found is None or self._blobs.find_size(repository, digest) is not None:
            return
        upstream, name = found
        # A manifest may be asked for by the same digest.
        what = f"blob {digest}"
        if not self._is_absent(repository, what):
            await self._once(repository, what, lambda: self._fetch_blob(upstream, name, repository, digest))

    async def prepare_referrers(self, repository: str, digest: Digest) -> None:
        """See to it that what refers to a manifest can be listed, as `prepare_manifest`."""
        found = self._find(repository)
        what = f"referrers {digest}"
        if found is None or self._is_absent(repository, what):
            return
        answer = self._find_answer(repository, what)
        if answer is None or not answer.is_there or self._clock.monotonic() - answer.at >= FRESH_SECONDS:
            upstream, name = found
            fetch = partial(self._fetch_referrers, upstream, name, repository, digest)
            await self._once(repository, what, fetch, ages=True)

    async def find_tags(self, repository: str, *, after: str, limit: int) -> Tags | None:
        """A page of the upstream's tags; None when what is kept is to be listed.

        Raises:
            RegistryError: the upstream failed, and nothing is kept.
        """
        found = self._find(repository)
        if found is None:
            return None
        upstream, name = found
        try:
            return await upstream.find_tags(name, after=after, limit=limit)
        except UpstreamError as error:
            if not self._manifests.has_tags(repository):
                raise _failed(error) from error
            log.warning("the tags of %s are listed as far as they are kept: %s", repository, error.message)
            return None

    async def _once(
        self, repository: str, what: str, fetch: Callable[[], Awaitable[bool | None]], *, ages: bool = False
    ) -> None:
        """Join the fetch that is under way, or begin one. It outlives the client that asked first.

        An answer that `ages` is remembered when there was something, too.
        """
        key = (repository, what)
        task = self._fetching.get(key)
        if task is None:
            task = asyncio.ensure_future(self._ask(key, fetch, ages=ages))
            self._fetching[key] = task
            task.add_done_callback(lambda _: self._fetching.pop(key, None))
        try:
            await asyncio.shield(task)
        except UpstreamError as error:
            raise _failed(error) from error

    async def _ask(self, key: tuple[str, str], fetch: Callable[[], Awaitable[bool | None]], *, ages: bool) -> None:
        """Fetch, and remember for a while whether there was anything; a failure, and None, are no answers."""
        is_there = await fetch()
        if is_there is None:
            return
        self._answers.pop(key, None)
        # That a digest is there is seen by what is kept.
        if not is_there or ages:
            self._answers[key] = _Answer(self._clock.monotonic(), is_there)
            if len(self._answers) > REMEMBERED_ANSWERS:
                self._answers.popitem(last=False)

    async def _follow(self, upstream: Upstream, name: str, repository: str, tag: str) -> bool | None:
        kept = self._kept_digest(repository, tag)
        answer = self._find_answer(repository, tag)
        age = None if answer is None else self._clock.monotonic() - answer.at
        if kept is not None and (is_immutable(tag) or (age is not None and age < FRESH_SECONDS)):
            return None
        if kept is None and self._is_absent(repository, tag):
            return None
        try:
            digest = await upstream.find_digest(name, tag)
            if digest is None or digest == kept:
                return digest is not None
            return await self._fetch(upstream, name, repository, digest, (tag,))
        except UpstreamError as error:
            if kept is None:
                raise
            log.warning("%s:%s is served as it was last seen: %s", repository, tag, error.message)
            return None

    async def _fetch(
        self, upstream: Upstream, name: str, repository: str, digest: Digest, tags: tuple[str, ...]
    ) -> bool:
        """Fetch a manifest; False when the upstream has none."""
        found = await upstream.find_manifest(name, digest)
        if found is None:
            return False
        if Digest.of(found.content, digest.algorithm) != digest:
            raise UpstreamError(f"{upstream.name}/{name} has other content under {digest} (DigestMismatch)")
        await self._manifests.keep(repository, found.content, media_type=found.media_type, digest=digest, tags=tags)
        return True

    async def _fetch_referrers(self, upstream: Upstream, name: str, repository: str, digest: Digest) -> bool | None:
        """Fetch what refers to a manifest; False when nothing does."""
        try:
            listed = await upstream.find_referrers(name, digest)
            if len(listed) > REFERRERS_LIMIT:
                log.warning(
                    "%s@%s has %d referrers, of which %d are fetched", repository, digest, len(listed), REFERRERS_LIMIT
                )
            for one in listed[:REFERRERS_LIMIT]:
                if self._kept_digest(repository, str(one)) is None:
                    await self._fetch(upstream, name, repository, one, ())
        except UpstreamError as error:
            # An empty list would say that nothing was ever signed.
            if not self._manifests.has_referrers(repository, digest):
                raise
            log.warning("what refers to %s@%s is listed as far as it is kept: %s", repository, digest, error.message)
            return None
        return bool(listed)

    async def _fetch_blob(self, upstream: Upstream, name: str, repository: str, digest: Digest) -> bool:
        """Fetch a blob; False when the upstream has none."""
        pieces = await upstream.find_blob(name, digest)
        if pieces is None:
            return False
        blobs = self._blobs
        upload = await blobs.start_upload(repository)
        async with upload.lock:
            try:
                await blobs.append(upload, Pieces(pieces))
                await blobs.finish_upload(repository, upload, digest)
            except BaseException:
                if not upload.ended:
                    await blobs.cancel_upload(upload)
                raise
        return True

    def _find(self, repository: str) -> tuple[Upstream, str] | None:
        """The upstream of a repository and its name there."""
        prefix, _, rest = repository.partition("/")
        upstream = self._upstreams.get(prefix)
        return None if upstream is None or not rest else (upstream, rest)

    def _find_answer(self, repository: str, what: str) -> _Answer | None:
        answer = self._answers.get((repository, what))
        if answer is not None:
            self._answers.move_to_end((repository, what))
        return answer

    def _is_absent(self, repository: str, what: str) -> bool:
        """Whether the upstream has said just now that it has no such thing."""
        answer = self._find_answer(repository, what)
        return answer is not None and not answer.is_there and self._clock.monotonic() - answer.at < ABSENT_SECONDS

    def _kept_digest(self, repository: str, reference: str) -> Digest | None:
        """What is kept and whole; None when nothing is, or only what is damaged."""
        try:
            return self._manifests.get(repository, reference).digest
        except (RegistryError, DamagedContentError):
            return None


def _failed(error: UpstreamError) -> RegistryError:
    return RegistryError(ErrorCode.UNKNOWN, error.message, status=502)
