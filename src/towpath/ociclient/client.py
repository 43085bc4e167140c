"""The registry client: resolve, pull and push artifacts by reference, with all content verified against its digest.

How a call is authorised and sent stands in `session`, what its failures mean in `errors`, how an upload goes in `push`.
"""

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from urllib.parse import quote

from towpath.aio.clock import Clock, SystemClock
from towpath.http.client import HttpClient, Response, ResponseTooLargeError, Route, UnreachableError
from towpath.http.hosts import is_loopback
from towpath.oci import media
from towpath.oci.challenge import DELETE, PULL, PUSH, Scope
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.keyring import Keyring
from towpath.oci.manifest import Index, Manifest, RawManifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.errors import DeleteError, PullCause, PullError, PushError
from towpath.ociclient.images import Image, choose_candidates, describe_platforms
from towpath.ociclient.push import OpenBlob, push_blob, push_manifest
from towpath.ociclient.referrers import describe_referrer, fallback_tag, of_type, read_referrers, with_entry
from towpath.ociclient.responses import (
    corrupt,
    failed,
    find_next_query,
    read_digest,
    read_image_config,
    read_manifest,
    read_media_type,
    read_tags,
)
from towpath.ociclient.session import REDIRECTS, Call, Session

# 4 MiB is what registries must accept; twice that is still no burden.
MANIFEST_LIMIT = 8 * 1024 * 1024
CONFIG_LIMIT = 8 * 1024 * 1024
TAG_PAGE_LIMIT = 4 * 1024 * 1024
# 1000 pages: more tags than any registry should hold; a server that links in a circle is cut off.
TAG_PAGES = 1000
# 100 pages: more referrers than any image has; the same guard against circles.
REFERRER_PAGES = 100
BLOB_ATTEMPTS = 4
# How deep an index may point to indexes before the walk gives up.
INDEX_DEPTH = 3
_ACCEPT = ", ".join((*media.ACCEPTED, "*/*"))


class RegistryClient:
    """Speaks to any OCI registry with the credentials of a keyring; close it when done."""

    def __init__(
        self,
        *,
        keyring: Keyring | None = None,
        plain_http: Callable[[str], bool] = is_loopback,
        trust: ssl.SSLContext | None = None,
        timeout_seconds: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            keyring: credentials by registry; none means anonymous.
            plain_http: which registries (`host[:port]`) are spoken to without TLS.
            trust: which authorities are believed; None for the system's.
            timeout_seconds: bounds each wait for a peer, not a whole transfer.
            clock: paces retries and ages tokens.
        """
        clock = clock or SystemClock()
        self._http = HttpClient(timeout_seconds=timeout_seconds, clock=clock, route=Route(tls=trust))
        self._session = Session(self._http, keyring or Keyring(), plain_http=plain_http, clock=clock)

    async def resolve(self, reference: Reference) -> Descriptor:
        """What the reference points to right now, without fetching it. Raises PullError."""
        call = _pull(reference, "HEAD", f"manifests/{reference.target}", {"Accept": _ACCEPT})
        response = await self._checked(reference, call)
        async with response:
            text = response.headers.get("docker-content-digest", "")
            size = response.headers.get("content-length", "")
            media_type = read_media_type(response)
        if text and size.isdecimal():
            digest = read_digest(reference, text)
            if reference.digest in {None, digest}:
                return Descriptor(media_type, digest, int(size))
        # Some registries leave the digest out; then only the content tells it.
        raw = await self.manifest(reference)
        return Descriptor(raw.media_type, raw.digest, len(raw.content))

    async def manifest(self, reference: Reference) -> RawManifest:
        """Fetch a manifest or an index, verified against its digest. Raises PullError, IntegrityError."""
        call = _pull(reference, "GET", f"manifests/{reference.target}", {"Accept": _ACCEPT})
        response = await self._checked(reference, call)
        content = await self._read(reference, response, MANIFEST_LIMIT)
        expected = reference.digest
        if expected is None and (text := response.headers.get("docker-content-digest", "")):
            expected = read_digest(reference, text)
        digest = Digest.of(content, expected.algorithm if expected else "sha256")
        if expected and digest != expected:
            raise corrupt(reference, f"manifest has digest {digest}, expected {expected}")
        return RawManifest(content, read_media_type(response), digest)

    async def image(self, reference: Reference, platform: Platform) -> Image:
        """Find the image of a platform, through indexes if need be. Raises PullError, IntegrityError."""
        raw = await self.manifest(reference)
        found = await self._walk(reference, raw, platform, INDEX_DEPTH)
        if found is None:
            parsed = read_manifest(reference, raw.content, raw.media_type)
            offered = describe_platforms(parsed) if isinstance(parsed, Index) else "another platform"
            raise failed(reference, PullCause.NO_PLATFORM, f"expected an image for {platform}, got {offered}")
        return found

    async def blob(self, reference: Reference, descriptor: Descriptor) -> AsyncGenerator[bytes, None]:
        """The content of a blob in pieces; a broken connection is resumed.

        The last piece may have been handed out when the content turns out to be wrong, so use nothing of it before the
        iteration has ended.

        Raises:
            PullError: the blob is missing or the registry failed.
            IntegrityError: size or digest differ from the descriptor's.
        """
        hasher = descriptor.digest.hasher()
        received = 0
        for attempt in range(1, BLOB_ATTEMPTS + 1):
            response = await self._open_blob(reference, descriptor, received)
            try:
                async with response, aclosing(response.stream()) as pieces:
                    skipped = received if response.status == 200 else 0
                    async for piece in pieces:
                        fresh = piece[skipped:]
                        skipped = max(0, skipped - len(piece))
                        received += len(fresh)
                        if received > descriptor.size:
                            raise corrupt(reference, f"blob {descriptor.digest} is longer than {descriptor.size} bytes")
                        if fresh:
                            hasher.update(fresh)
                            yield fresh
                break
            except UnreachableError as error:
                if attempt == BLOB_ATTEMPTS:
                    raise failed(reference, PullCause.UNREACHABLE, error.detail, url=error.url) from error
        if received != descriptor.size or hasher.hexdigest() != descriptor.digest.hex:
            raise corrupt(reference, f"blob {descriptor.digest} is not what its digest says ({received} bytes arrived)")

    async def read_blob(self, reference: Reference, descriptor: Descriptor, *, limit: int = CONFIG_LIMIT) -> bytes:
        """A small blob (a configuration) as a whole. Raises PullError, IntegrityError."""
        if descriptor.size > limit:
            detail = f"blob {descriptor.digest} has {descriptor.size} bytes, expected at most {limit}"
            raise failed(reference, PullCause.INVALID_CONTENT, detail)
        return b"".join([piece async for piece in self.blob(reference, descriptor)])

    async def find_blob(self, reference: Reference, digest: Digest) -> int | None:
        """The size of a blob in bytes, or None when the repository does not have it. Raises PullError."""
        return await self._find_blob(reference, _pull(reference, "HEAD", f"blobs/{digest}"))

    async def push_blob(
        self, reference: Reference, descriptor: Descriptor, open_blob: OpenBlob, *, mount_from: str = ""
    ) -> bool:
        """Make sure the repository has a blob; False means it was there (or could be mounted) and nothing was sent.

        Args:
            reference: names the repository.
            descriptor: digest and size of the blob.
            open_blob: opens the content; called again for each attempt.
            mount_from: a repository of the same registry that may have the blob already.

        Raises:
            PushError, IntegrityError: the content is not what the descriptor says.
        """
        scopes = (Scope.of_repository(reference.repository, PULL, PUSH),)
        call = Call("HEAD", f"blobs/{descriptor.digest}", scopes, PushError)
        if await self._find_blob(reference, call) is not None:
            return False
        return await push_blob(self._session, reference, descriptor, open_blob, mount_from=mount_from)

    async def push_manifest(self, reference: Reference, raw: bytes, media_type: str) -> Digest:
        """Put a manifest under the reference's digest or tag.

        A manifest with a subject is listed among that one's referrers, by the registry or, where it does not, here.

        Raises:
            PushError, TagTakenError, IntegrityError.
            PullError: the list of referrers that this side has to keep cannot be read.
        """
        pushed = await push_manifest(self._session, reference, raw, media_type)
        if not pushed.subject_listed and (found := describe_referrer(raw, media_type, pushed.digest)):
            await self._list_by_tag(reference, *found)
        return pushed.digest

    async def referrers(self, reference: Reference, *, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """The manifests whose subject is the reference's digest; only those of a type, unless that is empty.

        Raises:
            PullError, IntegrityError.
            ValueError: the reference has no digest.
        """
        if reference.digest is None:
            raise ValueError(f"{reference} has no digest")
        query = f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
        target = f"referrers/{reference.digest}{query}"
        found: list[Descriptor] = []
        for _ in range(REFERRER_PAGES):
            # Not followed: a registry may send all paths that it does not know to a page for people.
            call = replace(_pull(reference, "GET", target, {"Accept": media.OCI_INDEX}), follow=False)
            response = await self._session.call(reference, call)
            if response.status == 404 or response.status in REDIRECTS:
                await response.close()
                return of_type(await self._listed_by_tag(reference, reference.digest), artifact_type)
            if response.status != 200:
                raise await self._session.fail(reference, call, response)
            content = await self._read(reference, response, MANIFEST_LIMIT)
            found += read_referrers(reference, content, media.OCI_INDEX)
            following = find_next_query(response.headers.get("link", ""))
            if not following:
                return of_type(found, artifact_type)
            target = f"referrers/{reference.digest}?{following}"
        raise failed(reference, PullCause.INVALID_CONTENT, f"the referrers have more than {REFERRER_PAGES} pages")

    async def tags(self, reference: Reference) -> list[str]:
        """All tags of the repository, in the registry's order. Raises PullError."""
        tags: list[str] = []
        target = "tags/list"
        for _ in range(TAG_PAGES):
            response = await self._checked(reference, _pull(reference, "GET", target))
            content = await self._read(reference, response, TAG_PAGE_LIMIT)
            tags += read_tags(reference, content)
            following = find_next_query(response.headers.get("link", ""))
            if not following:
                return tags
            target = f"tags/list?{following}"
        raise failed(reference, PullCause.INVALID_CONTENT, f"the tag list has more than {TAG_PAGES} pages")

    async def tags_page(self, reference: Reference, *, after: str, limit: int) -> tuple[list[str], bool]:
        """At most so many tags, those after `after`, and whether there are more. Raises PullError."""
        last = f"&last={quote(after, safe='')}" if after else ""
        response = await self._checked(reference, _pull(reference, "GET", f"tags/list?n={limit}{last}"))
        content = await self._read(reference, response, TAG_PAGE_LIMIT)
        return read_tags(reference, content), bool(find_next_query(response.headers.get("link", "")))

    async def delete(self, reference: Reference) -> None:
        """Delete a manifest (with a digest) or a tag. Raises DeleteError."""
        scopes = (Scope.of_repository(reference.repository, DELETE, PULL, PUSH),)
        call = Call("DELETE", f"manifests/{reference.target}", scopes, DeleteError)
        response = await self._session.call(reference, call)
        if response.status not in {200, 202, 204}:
            raise await self._session.fail(reference, call, response)
        await response.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def _listed_by_tag(self, reference: Reference, subject: Digest) -> tuple[Descriptor, ...]:
        tagged = replace(reference, tag=fallback_tag(subject), digest=None)
        try:
            raw = await self.manifest(tagged)
        except PullError as error:
            if error.cause is not PullCause.NOT_FOUND:
                raise
            return ()
        return read_referrers(tagged, raw.content, raw.media_type)

    async def _list_by_tag(self, reference: Reference, subject: Descriptor, entry: Descriptor) -> None:
        """Add a manifest to its subject's list. Two writers at once may lose one: the schema knows no better."""
        listed = await self._listed_by_tag(reference, subject.digest)
        wanted = with_entry(listed, entry)
        if wanted != listed:
            tagged = replace(reference, tag=fallback_tag(subject.digest), digest=None)
            await push_manifest(self._session, tagged, format_manifest(Index(wanted)), media.OCI_INDEX)

    async def _walk(self, reference: Reference, raw: RawManifest, platform: Platform, depth: int) -> Image | None:
        parsed = read_manifest(reference, raw.content, raw.media_type)
        pinned = reference.with_digest(raw.digest)
        if isinstance(parsed, Manifest):
            config = read_image_config(pinned, await self.read_blob(pinned, parsed.config))
            descriptor = Descriptor(raw.media_type, raw.digest, len(raw.content), platform=config.platform)
            return Image(pinned, descriptor, parsed, config) if config.platform.matches(platform) else None
        for entry in choose_candidates(parsed, platform) if depth else []:
            child = reference.with_digest(entry.digest)
            try:
                child_raw = await self.manifest(child)
            except PullError as error:
                if error.cause is not PullCause.NOT_FOUND:
                    raise
                failure = replace(error.failure, cause=PullCause.CONTENT_MISSING)
                raise PullError(reference, failure) from error
            found = await self._walk(child, child_raw, platform, depth - 1)
            if found:
                return found
        return None

    async def _open_blob(self, reference: Reference, descriptor: Descriptor, offset: int) -> Response:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        call = _pull(reference, "GET", f"blobs/{descriptor.digest}", headers)
        response = await self._session.call(reference, call)
        if response.status in {200, 206}:
            return response
        error = await self._session.fail(reference, call, response)
        if error.cause is PullCause.NOT_FOUND:
            raise PullError(reference, replace(error.failure, cause=PullCause.CONTENT_MISSING))
        raise error

    async def _find_blob(self, reference: Reference, call: Call) -> int | None:
        response = await self._session.call(reference, call)
        if response.status not in {200, 404}:
            raise await self._session.fail(reference, call, response)
        await response.close()
        size = response.headers.get("content-length", "")
        if response.status == 404:
            return None
        return int(size) if size.isdecimal() else 0

    async def _checked(self, reference: Reference, call: Call) -> Response:
        response = await self._session.call(reference, call)
        if response.status != 200:
            raise await self._session.fail(reference, call, response)
        return response

    async def _read(self, reference: Reference, response: Response, limit: int) -> bytes:
        try:
            async with response:
                return await response.read(limit)
        except UnreachableError as error:
            raise failed(reference, PullCause.UNREACHABLE, error.detail, url=error.url) from error
        except ResponseTooLargeError as error:
            raise failed(reference, PullCause.INVALID_CONTENT, error.message) from error


def _pull(reference: Reference, method: str, target: str, headers: dict[str, str] | None = None) -> Call:
    return Call(method, target, (Scope.of_repository(reference.repository, PULL),), PullError, headers or {})
