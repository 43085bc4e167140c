"""Attestations as OCI artifacts: manifests whose subject is the image, found by every client through its referrers.

    signed        Sigstore bundle    artifactType and layer application/vnd.dev.sigstore.bundle.v0.3+json
    provenance    in-toto statement  artifactType and layer application/vnd.in-toto+json
    SBOM          CycloneDX          artifactType and layer application/vnd.cyclonedx+json

Each has one layer and the empty configuration. Annotations say what is inside, so that a list of referrers is enough to
choose; they are hints, and decide nothing. The bytes are equal for equal content.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from towpath.attest import bundle, provenance, sbom
from towpath.attest.dsse import IN_TOTO
from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Manifest, format_manifest

STATEMENT_TYPE = "in-toto.io/predicate-type"
EMPTY_CONFIG = b"{}"
READABLE = (bundle.MEDIA_TYPE, IN_TOTO, sbom.MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class Referrer:
    """An artifact ready to be pushed: its manifest, and the two blobs that the manifest names."""

    manifest_raw: bytes
    digest: Digest
    content: bytes
    content_type: str

    @property
    def blobs(self) -> tuple[tuple[Descriptor, bytes], ...]:
        """What must be in the repository before the manifest."""
        return (
            (Descriptor(media.OCI_EMPTY, Digest.of(EMPTY_CONFIG), len(EMPTY_CONFIG)), EMPTY_CONFIG),
            (Descriptor(self.content_type, Digest.of(self.content), len(self.content)), self.content),
        )


def bundle_referrer(
    subject: Descriptor, content: bytes, *, predicate_type: str, created: str, key_id: str = ""
) -> Referrer:
    """A signed statement, as cosign stores one, with a note of the key."""
    notes = {bundle.CONTENT: bundle.DSSE_ENVELOPE, bundle.PREDICATE_TYPE: predicate_type}
    if key_id:
        notes[annotations.SIGNED_BY] = key_id
    return _referrer(subject, content, bundle.MEDIA_TYPE, notes, created)


def statement_referrer(subject: Descriptor, content: bytes, *, predicate_type: str, created: str) -> Referrer:
    """A statement that nobody signed."""
    return _referrer(subject, content, IN_TOTO, {STATEMENT_TYPE: predicate_type}, created)


def sbom_referrer(subject: Descriptor, content: bytes, *, created: str) -> Referrer:
    """An SBOM as such, for tools that look for nothing else."""
    return _referrer(subject, content, sbom.MEDIA_TYPE, {}, created)


def is_signed_by(key_id: str, listed: Iterable[Descriptor]) -> bool:
    """Whether what is attached to an image has provenance and SBOM noted as signed by a key."""
    noted = (one.annotations for one in listed if one.artifact_type == bundle.MEDIA_TYPE)
    signed = {notes.get(bundle.PREDICATE_TYPE, "") for notes in noted if notes.get(annotations.SIGNED_BY) == key_id}
    return {provenance.PREDICATE_TYPE, sbom.PREDICATE_TYPE} <= signed


def _referrer(subject: Descriptor, content: bytes, kind: str, notes: dict[str, str], created: str) -> Referrer:
    config = Descriptor(media.OCI_EMPTY, Digest.of(EMPTY_CONFIG), len(EMPTY_CONFIG))
    manifest = Manifest(
        config=config,
        layers=(Descriptor(kind, Digest.of(content), len(content)),),
        annotations={**notes, **({annotations.CREATED: created} if created else {})},
        artifact_type=kind,
        subject=Descriptor(subject.media_type, subject.digest, subject.size),
    )
    raw = format_manifest(manifest)
    return Referrer(raw, Digest.of(raw), content, kind)
