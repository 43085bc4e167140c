"""What is attached to an image, put apart: envelopes with their signatures, plain statements, plain SBOMs.

Reading an envelope does not read its payload: that comes after its signature was judged (`checks`). What cannot be read
is kept with the reason, because it must show in the verdict.
"""

from dataclasses import dataclass

from towpath.attest import bundle, provenance, sbom
from towpath.attest.dsse import IN_TOTO, Envelope
from towpath.attest.errors import InvalidAttestationError
from towpath.attest.statement import Statement, Subject, parse_statement
from towpath.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Attached:
    """One attached artifact.

    Attributes:
        digest: of its manifest.
        envelope: the signed form, if that is what it is.
        content: the bytes of a statement or an SBOM that nobody signed.
        media_type: of `content`.
        problem: why it is of no use; empty when it is.
    """

    digest: Digest
    envelope: Envelope | None = None
    content: bytes = b""
    media_type: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement that is taken into account, and the key that stands for it (empty: nobody's).

    An SBOM that is attached as such becomes a statement about the digest it names itself.
    """

    statement: Statement
    key_id: str = ""

    def is_about(self, digest: Digest) -> bool:
        """Whether it speaks of this image."""
        return self.statement.is_about(digest)

    @property
    def is_provenance(self) -> bool:
        """Whether it says who built the image from what."""
        return self.statement.predicate_type == provenance.PREDICATE_TYPE

    @property
    def is_sbom(self) -> bool:
        """Whether it says what is in the image."""
        return self.statement.predicate_type == sbom.PREDICATE_TYPE


def read_attached(digest: Digest, media_type: str, content: bytes) -> Attached:
    """Put one artifact's content where it belongs."""
    if media_type == bundle.MEDIA_TYPE:
        try:
            return Attached(digest, envelope=bundle.parse_bundle(content))
        except InvalidAttestationError as error:
            return Attached(digest, problem=error.message)
    if media_type in {IN_TOTO, sbom.MEDIA_TYPE}:
        return Attached(digest, content=content, media_type=media_type)
    return Attached(digest, problem=f"has a layer of type {media_type[:80]}, which is no attestation")


def read_signed(envelope: Envelope, key_id: str) -> Claim:
    """The statement of an envelope whose signature was judged. Raises InvalidAttestationError."""
    if envelope.payload_type != IN_TOTO:
        raise InvalidAttestationError(f"envelope holds {envelope.payload_type[:80]} (Schema): expected {IN_TOTO}")
    return Claim(parse_statement(envelope.payload), key_id)


def read_unsigned(attached: Attached) -> Claim:
    """The statement that stands there as such. Raises InvalidAttestationError."""
    if attached.media_type == IN_TOTO:
        return Claim(parse_statement(attached.content))
    document = sbom.load_sbom(attached.content)
    about, _ = sbom.read_sbom(document)
    subjects = (Subject("", about),) if about else ()
    return Claim(Statement(subjects, sbom.PREDICATE_TYPE, document))
