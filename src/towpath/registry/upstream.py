"""An upstream behind `pullthrough.Upstream`, asked over the distribution protocol with this side's client."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from towpath.errors import IntegrityError
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.reference import InvalidReferenceError, Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullCause, PullError
from towpath.registry.pullthrough import FetchedManifest, UpstreamError

_MISSING = frozenset({PullCause.NOT_FOUND, PullCause.CONTENT_MISSING})


class RegistryUpstream:
    """Another registry, or the part of it below a prefix such as `ghcr.io/me`."""

    def __init__(self, client: RegistryClient, prefix: str) -> None:
        """`client` has the credentials for it, and is closed by whoever made it."""
        self._client = client
        self._prefix = prefix.rstrip("/")

    @property
    def name(self) -> str:
        """Registry and prefix."""
        return self._prefix

    async def find_digest(self, repository: str, tag: str) -> Digest | None:
        """What a tag names right now."""
        reference = self._reference(repository)
        if reference is None:
            return None
        try:
            return (await self._client.resolve(reference.with_tag(tag))).digest
        except PullError as error:
            _require_absent(error)
            return None
        except IntegrityError as error:
            raise UpstreamError(error.message) from error

    async def find_manifest(self, repository: str, digest: Digest) -> FetchedManifest | None:
        """A manifest, verified."""
        reference = self._reference(repository)
        if reference is None:
            return None
        try:
            raw = await self._client.manifest(reference.with_digest(digest))
        except PullError as error:
            _require_absent(error)
            return None
        except IntegrityError as error:
            raise UpstreamError(error.message) from error
        return FetchedManifest(raw.content, raw.media_type)

    async def find_blob(self, repository: str, digest: Digest) -> AsyncIterator[bytes] | None:
        """A blob in pieces, verified at its end."""
        reference = self._reference(repository)
        if reference is None:
            return None
        try:
            size = await self._client.find_blob(reference, digest)
        except PullError as error:
            _require_absent(error)
            return None
        return None if size is None else self._read(reference, Descriptor("", digest, size))

    async def find_referrers(self, repository: str, digest: Digest) -> Sequence[Digest]:
        """What says that it is about this digest: by the referrers API, or by the tag that stands in for it."""
        reference = self._reference(repository)
        if reference is None:
            return ()
        try:
            found = await self._client.referrers(reference.with_digest(digest))
        except PullError as error:
            _require_absent(error)
            return ()
        except IntegrityError as error:
            raise UpstreamError(error.message) from error
        return [one.digest for one in found]

    async def find_tags(self, repository: str, *, after: str, limit: int) -> tuple[list[str], bool] | None:
        """A page of tags."""
        reference = self._reference(repository)
        if reference is None:
            return None
        try:
            return await self._client.tags_page(reference, after=after, limit=limit)
        except PullError as error:
            _require_absent(error)
            return None

    async def _read(self, reference: Reference, descriptor: Descriptor) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._client.blob(reference, descriptor)) as pieces:
                async for piece in pieces:
                    yield piece
        except (PullError, IntegrityError) as error:
            raise UpstreamError(error.message) from error

    def _reference(self, repository: str) -> Reference | None:
        try:
            return Reference.parse(f"{self._prefix}/{repository}")
        except InvalidReferenceError:
            return None  # no such name can exist there


def _require_absent(error: PullError) -> None:
    """Let pass that the upstream has no such thing. Raises UpstreamError for everything else."""
    if error.cause not in _MISSING:
        raise UpstreamError(error.message, hint=error.hint) from error
