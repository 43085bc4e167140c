"""A registry in memory behind the methods of `ociclient.RegistryClient` that builder and CI use.

It keeps a log of writes, verifies what it is sent, never moves a `sha-` tag, and can be told to fail at any call.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import parse_image_config
from towpath.oci.manifest import Manifest, RawManifest, parse_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.oci.tags import is_immutable
from towpath.ociclient.errors import Failure, PullCause, PullError, PushError, TagTakenError
from towpath.ociclient.images import Image


@dataclass
class MemoryRegistry:
    """A registry that lives as long as this object.

    `log` holds `verb repository` of every write; `before` is called with each operation and may raise; from the request
    with the number `silent_from` on there is no answer any more, and `silent` is set.
    """

    blobs: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, Digest], RawManifest] = field(default_factory=dict)
    tags_: dict[tuple[str, str], Digest] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    requests: int = 0
    before: Callable[[str], None] = lambda _operation: None
    silent_from: float = math.inf
    silent: asyncio.Event = field(default_factory=asyncio.Event)

    async def _enter(self, operation: str) -> None:
        self.requests += 1
        self.before(operation)
        if self.requests >= self.silent_from:
            self.silent.set()
            await asyncio.Event().wait()

    async def resolve(self, reference: Reference) -> Descriptor:
        await self._enter(f"resolve {reference}")
        raw = self._find(reference)
        return Descriptor(raw.media_type, raw.digest, len(raw.content))

    async def manifest(self, reference: Reference) -> RawManifest:
        await self._enter(f"manifest {reference}")
        return self._find(reference)

    async def image(self, reference: Reference, platform: Platform) -> Image:
        await self._enter(f"image {reference}")
        raw = self._find(reference)
        manifest = parse_manifest(raw.content)
        assert isinstance(manifest, Manifest)
        config = parse_image_config(self.blobs[reference.name, manifest.config.digest])
        if not config.platform.matches(platform):
            raise PullError(reference, Failure(PullCause.NO_PLATFORM, f"expected {platform}, got {config.platform}"))
        pinned = reference.with_digest(raw.digest)
        return Image(pinned, Descriptor(raw.media_type, raw.digest, len(raw.content)), manifest, config)

    async def blob(self, reference: Reference, descriptor: Descriptor) -> AsyncIterator[bytes]:
        await self._enter(f"blob {reference.name} {descriptor.digest}")
        content = self.blobs.get((reference.name, descriptor.digest))
        if content is None:
            raise PullError(reference, Failure(PullCause.CONTENT_MISSING, "no such blob", 404))
        half = len(content) // 2
        yield content[:half]
        yield content[half:]

    async def push_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        open_blob: Callable[[], AsyncIterator[bytes]],
        *,
        mount_from: str = "",
    ) -> bool:
        await self._enter(f"push_blob {reference.name} {descriptor.digest}")
        key = (reference.name, descriptor.digest)
        if key in self.blobs:
            return False
        source = self.blobs.get((f"{reference.registry}/{mount_from}", descriptor.digest))
        if mount_from and source is not None:
            self.blobs[key] = source
            self.log.append(f"mount {reference.repository}")
            return False
        content = b"".join([piece async for piece in open_blob()])
        assert descriptor.digest.matches(content), "the registry verifies what it is sent"
        assert len(content) == descriptor.size
        self.blobs[key] = content
        self.log.append(f"blob {reference.repository}")
        return True

    async def push_manifest(self, reference: Reference, raw: bytes, media_type: str) -> Digest:
        await self._enter(f"push_manifest {reference}")
        parsed = parse_manifest(raw, media_type)
        if isinstance(parsed, Manifest):
            missing = [blob.digest for blob in parsed.blobs if (reference.name, blob.digest) not in self.blobs]
            if missing:
                raise PushError(reference, Failure(PullCause.INVALID_CONTENT, f"MANIFEST_BLOB_UNKNOWN {missing}", 400))
        digest = Digest.of(raw)
        key = (reference.name, reference.tag)
        if is_immutable(reference.tag) and self.tags_.get(key, digest) != digest:
            raise TagTakenError(f"push of {reference} failed (TagTaken)")
        self.manifests[reference.name, digest] = RawManifest(raw, media_type, digest)
        if reference.tag:
            self.tags_[key] = digest
        self.log.append(f"manifest {reference.repository}:{reference.tag or 'digest'}")
        return digest

    async def read_blob(self, reference: Reference, descriptor: Descriptor) -> bytes:
        return b"".join([piece async for piece in self.blob(reference, descriptor)])

    async def find_blob(self, reference: Reference, digest: Digest) -> int | None:
        await self._enter(f"find_blob {reference.name} {digest}")
        content = self.blobs.get((reference.name, digest))
        return None if content is None else len(content)

    async def referrers(self, reference: Reference) -> tuple[Descriptor, ...]:
        await self._enter(f"referrers {reference}")
        found = []
        for (name, digest), raw in self.manifests.items():
            parsed = parse_manifest(raw.content, raw.media_type)
            if name == reference.name and parsed.subject is not None and parsed.subject.digest == reference.digest:
                kind = parsed.artifact_type
                found.append(
                    Descriptor(raw.media_type, digest, len(raw.content), parsed.annotations, artifact_type=kind)
                )
        return tuple(found)

    def _find(self, reference: Reference) -> RawManifest:
        digest = reference.digest or self.tags_.get((reference.name, reference.tag or "latest"))
        found = self.manifests.get((reference.name, digest)) if digest else None
        if found is None:
            raise PullError(reference, Failure(PullCause.NOT_FOUND, "404 Not Found, MANIFEST_UNKNOWN", 404))
        return found
