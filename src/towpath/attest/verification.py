"""Verifies an image by what is attached to it.

1. Resolve the reference to the digest of one platform's manifest; read manifest and configuration, both by digest.
2. Look for every blob of the image.
3. Read the attached artifacts, each verified against its digest, and put them apart (`evidence`).
4. Signature: does a trusted key's owner stand for provenance and SBOM? Judged on the raw bytes, before they are read.
5. Subject: is what was said about this very digest?
6. Provenance: does it agree with the image's own labels, and with the source and commit that the caller expects?
7. Commit: does the platform repository have it? Only where there is one to ask.
8. SBOM: is there one, can it be read, is it about this image?

With trusted keys, steps 5 to 8 look at what those keys signed and at nothing else: what anybody may attach must not
speak beside what an owner said. An error is raised only where nothing can be said about the image at all: it is not
there (NotFoundError), its registry fails (RemoteError), or its bytes are wrong (IntegrityError).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from towpath.attest import checks
from towpath.attest.dsse import Verifier
from towpath.attest.evidence import Attached, read_attached
from towpath.attest.findings import Finding, failed, passed
from towpath.attest.referrer import READABLE
from towpath.errors import IntegrityError, NotFoundError
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.manifest import Manifest, RawManifest, parse_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.errors import PullCause, PullError
from towpath.ociclient.images import Image

# 64: more attestations than an image gathers in its life. The newest matter, but a list has no order: more are an
# error, so that nobody hides a signature behind a heap.
MOST_REFERRERS = 64

FindCommit = Callable[[str], Awaitable[str | None]]


class AttestedRegistry(Protocol):
    """What verification needs of a registry; `ociclient.RegistryClient` satisfies it."""

    async def image(self, reference: Reference, platform: Platform, /) -> Image:
        """The image for a platform, verified. Raises PullError, IntegrityError."""
        ...

    async def manifest(self, reference: Reference, /) -> RawManifest:
        """A manifest, verified. Raises PullError, IntegrityError."""
        ...

    async def read_blob(self, reference: Reference, descriptor: Descriptor, /) -> bytes:
        """A blob, verified. Raises PullError, IntegrityError."""
        ...

    async def find_blob(self, reference: Reference, digest: Digest, /) -> int | None:
        """The size of a blob, or None. Raises PullError."""
        ...

    async def referrers(self, reference: Reference, /) -> Sequence[Descriptor]:
        """What points to the reference's digest. Raises PullError."""
        ...


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the caller holds to be true.

    Attributes:
        keys: whom to believe; with none, signatures cannot be judged.
        source: the repository it must come from; empty for any.
        commit: the full id it must be built from; empty for any.
        find_commit: asks the platform repository for a commit; None where there is none.
        unsigned_is_fine: nobody need have signed.
    """

    keys: tuple[Verifier, ...] = ()
    source: str = ""
    commit: str = ""
    find_commit: FindCommit | None = None
    unsigned_is_fine: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found about an image: `reference` is pinned to its digest."""

    reference: Reference
    digest: Digest
    config: ImageConfig
    findings: tuple[Finding, ...]


async def verify(
    registry: AttestedRegistry, reference: Reference, platform: Platform, expected: Expectation
) -> Verification:
    """Run the procedure above.

    Raises:
        NotFoundError: there is no such image.
        RemoteError: the registry cannot be asked.
        IntegrityError: the image's or an attestation's bytes are not what their digest says.
    """
    image = await _get_image(registry, reference, platform)
    digest = image.descriptor.digest
    findings = [passed("image", f"{digest} for {image.config.platform}; manifest and configuration match it")]
    findings.append(await _check_blobs(registry, image))
    attached = [await _read(registry, image, one) for one in await _find_attached(registry, image)]
    claims, problems = checks.read_believed(attached, expected.keys)
    labels = image.config.labels
    findings.append(checks.check_attached(attached, problems))
    findings.append(checks.check_signature(attached, claims, expected.keys, unsigned_is_fine=expected.unsigned_is_fine))
    findings.append(checks.check_subject(claims, digest))
    about = [one for one in claims if one.is_about(digest)]
    findings.append(checks.check_provenance(about, labels, source=expected.source, commit=expected.commit))
    if expected.find_commit is not None:
        findings.append(await checks.check_commit(about, labels, expected.find_commit))
    findings.append(checks.check_sbom(about, digest))
    return Verification(image.reference, digest, image.config, tuple(findings))


async def _get_image(registry: AttestedRegistry, reference: Reference, platform: Platform) -> Image:
    try:
        return await registry.image(reference, platform)
    except PullError as error:
        if error.cause in {PullCause.NOT_FOUND, PullCause.NO_PLATFORM}:
            raise NotFoundError(error.message, hint=error.hint) from error
        raise


async def _check_blobs(registry: AttestedRegistry, image: Image) -> Finding:
    missing = []
    for layer in image.manifest.layers:
        size = await registry.find_blob(image.reference, layer.digest)
        if size != layer.size:
            missing.append(str(layer.digest)[:19])
    if missing:
        return failed("complete", f"the registry lacks {', '.join(missing)}", "push the image again")
    return passed("complete", f"all {len(image.manifest.layers)} layers are in the registry")


async def _find_attached(registry: AttestedRegistry, image: Image) -> list[Descriptor]:
    listed = await registry.referrers(image.reference)
    readable = [one for one in listed if one.artifact_type in READABLE]
    if len(readable) > MOST_REFERRERS:
        raise IntegrityError(
            f"image {image.reference} has {len(readable)} attestations (TooMany): at most {MOST_REFERRERS} are read",
            hint="delete those that nobody needs from the registry",
        )
    return readable


async def _read(registry: AttestedRegistry, image: Image, listed: Descriptor) -> Attached:
    reference = replace(image.reference, tag="", digest=listed.digest)
    try:
        raw = await registry.manifest(reference)
        manifest = parse_manifest(raw.content, raw.media_type)
    except PullError as error:
        if error.cause is not PullCause.NOT_FOUND:
            raise
        return Attached(listed.digest, problem="is listed, and not there")
    if not isinstance(manifest, Manifest) or len(manifest.layers) != 1:
        return Attached(listed.digest, problem="is no attestation: it has not one layer")
    layer = manifest.layers[0]
    content = await registry.read_blob(reference, layer)
    return read_attached(listed.digest, layer.media_type, content)
