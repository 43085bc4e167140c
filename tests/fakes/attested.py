"""An image in a registry with whatever attestations a test wants: honest, forged, moved, or none."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from towpath.attest import bundle, provenance, sbom
from towpath.attest.dsse import IN_TOTO, Envelope, sign
from towpath.attest.keys import PrivateKey
from towpath.attest.provenance import BuildFacts, format_provenance
from towpath.attest.referrer import Referrer, bundle_referrer, statement_referrer
from towpath.attest.sbom import Described, format_sbom
from towpath.attest.statement import Statement, Subject, format_statement
from towpath.attest.verification import Expectation, Verification, verify
from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCE = "https://git.example/home.git"
REFERENCE = Reference.parse("r.example/home/sensor:sha-0123456")
PLATFORM = Platform("linux", "amd64")


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@dataclass
class Shelf:
    """An image in a registry (in memory, or a client of a real one), and ways to attach things to it."""

    registry: Any
    reference: Reference = REFERENCE
    subject: Descriptor = field(init=False)

    async def put(self, content: bytes, kind: str) -> Descriptor:
        descriptor = Descriptor(kind, Digest.of(content), len(content))
        await self.registry.push_blob(self.reference, descriptor, partial(_once, content))
        return descriptor

    async def fill(self, *, revision: str = COMMIT) -> "Shelf":
        config = ImageConfig(PLATFORM, labels={annotations.REVISION: revision} if revision else {})
        layer = await self.put(b"layer", media.OCI_LAYER)
        described = await self.put(format_image_config(config), media.OCI_CONFIG)
        raw = format_manifest(Manifest(described, (layer,)))
        digest = await self.registry.push_manifest(self.reference, raw, media.OCI_MANIFEST)
        self.subject = Descriptor(media.OCI_MANIFEST, digest, len(raw))
        return self

    async def attach(self, referrer: Referrer) -> None:
        for descriptor, content in referrer.blobs:
            await self.registry.push_blob(self.reference, descriptor, partial(_once, content))
        target = replace(self.reference, tag="", digest=referrer.digest)
        await self.registry.push_manifest(target, referrer.manifest_raw, media.OCI_MANIFEST)

    def origin(self, *, commit: str = COMMIT, digest: Digest | None = None) -> Statement:
        facts = BuildFacts("sensor", "services/sensor", SOURCE, commit, "", "linux/amd64", "", "1")
        subjects = (Subject(self.reference.name, digest or self.subject.digest),)
        return Statement(subjects, provenance.PREDICATE_TYPE, format_provenance(facts))

    def contents(self, *, digest: Digest | None = None) -> dict[str, Any]:
        described = Described(self.reference, digest or self.subject.digest, "", "amd64", "")
        return format_sbom(described, (), builder_version="1")

    def listed(self, document: dict[str, Any]) -> Statement:
        return Statement((Subject(self.reference.name, self.subject.digest),), sbom.PREDICATE_TYPE, document)

    async def attach_signed(self, key: PrivateKey, *statements: Statement) -> None:
        for statement in statements:
            envelope = sign(IN_TOTO, format_statement(statement), [key])
            await self.attach_envelope(envelope, key, statement.predicate_type)

    async def attach_envelope(self, envelope: Envelope, key: PrivateKey, predicate_type: str = "") -> None:
        raw = bundle.format_bundle(envelope, hint=key.public.hint)
        await self.attach(bundle_referrer(self.subject, raw, predicate_type=predicate_type, created=""))

    async def attach_unsigned(self, statement: Statement) -> None:
        raw = format_statement(statement)
        await self.attach(statement_referrer(self.subject, raw, predicate_type=statement.predicate_type, created=""))

    async def verify(self, expected: Expectation) -> Verification:
        return await verify(self.registry, self.reference, PLATFORM, expected)
