"""The checks of a verification: values in, findings out. Their order and their sense: `verification`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from towpath.attest import provenance, sbom
from towpath.attest.dsse import Verifier, find_signer
from towpath.attest.errors import InvalidAttestationError
from towpath.attest.evidence import Attached, Claim, read_signed, read_unsigned
from towpath.attest.findings import Finding, failed, insufficient, passed
from towpath.oci import annotations
from towpath.oci.digest import Digest
from towpath.oci.source import format_source

_SIGN = "sign new images: towpath keys create, then push again"
_ATTEST = "build the image with Towpath, or attach an in-toto statement to it"


def read_believed(attached: Iterable[Attached], keys: Sequence[Verifier]) -> tuple[list[Claim], list[str]]:
    """What is taken into account, and what of it cannot be read.

    With keys that is what they signed: what others attach, whole or broken, must have no say. Without keys it is
    everything.
    """
    claims, problems = [], []
    for one in attached:
        signer = find_signer(one.envelope, keys) if one.envelope else None
        if signer is None and keys:
            continue
        try:
            if one.problem:
                raise InvalidAttestationError(one.problem)
            claims.append(
                read_signed(one.envelope, signer.key_id if signer else "") if one.envelope else read_unsigned(one)
            )
        except InvalidAttestationError as error:
            problems.append(f"{str(one.digest)[:19]}: {error.message}")
    return claims, problems


def check_attached(attached: Sequence[Attached], problems: Sequence[str]) -> Finding:
    """Whether there is anything to judge, and all of it can be read."""
    name = "attached"
    if not attached:
        return insufficient(name, "nothing is attached: no provenance, no SBOM, no signature", _ATTEST)
    if problems:
        return failed(name, "; ".join(problems), "delete it from the registry, or attach it anew")
    signed = sum(one.envelope is not None for one in attached)
    return passed(name, f"{len(attached)} attestations, {signed} of them signed")


def check_signature(
    attached: Sequence[Attached], claims: Sequence[Claim], keys: Sequence[Verifier], *, unsigned_is_fine: bool
) -> Finding:
    """Whether an owner of a trusted key stands for provenance and SBOM."""
    name = "signature"
    signed = [one for one in attached if one.envelope is not None]
    if not keys:
        if unsigned_is_fine:
            return passed(name, f"not asked for: {len(signed)} of {len(attached)} attestations are signed")
        if signed:
            return insufficient(name, "signed, but no key was given to judge by", "give the signer's public key: --key")
        return insufficient(name, "UNSIGNED: anybody who may push could have written this", _SIGN)
    wanted = {"provenance": any(c.is_provenance for c in claims), "SBOM": any(c.is_sbom for c in claims)}
    lacking = [what for what, there in wanted.items() if not there]
    if not lacking:
        signers = ", ".join(sorted({claim.key_id[:12] for claim in claims}))
        return passed(name, f"provenance and SBOM are signed by key {signers}")
    if not signed:
        return failed(name, "UNSIGNED: nothing that is attached has a signature", _SIGN)
    if len(lacking) == 1:
        return failed(name, f"no trusted key signed the {lacking[0]}", "build and attest the image again")
    return failed(name, "signed, but by none of the trusted keys", "check the key, and who pushed this image")


def check_subject(claims: Sequence[Claim], digest: Digest) -> Finding:
    """Every believed statement with a subject must be about this image; one about another was put here by mistake."""
    name = "subject"
    stray = [claim for claim in claims if claim.statement.subjects and not claim.is_about(digest)]
    if stray:
        other = stray[0].statement.subjects[0].digest
        return failed(
            name,
            f"an attestation is about {str(other)[:19]}, not {str(digest)[:19]}",
            "somebody attached it to the wrong image: find out who",
        )
    about = [claim for claim in claims if claim.is_about(digest)]
    if not about:
        return insufficient(name, "no attestation to look at is about this digest", _ATTEST)
    return passed(name, f"{len(about)} statements name this digest")


def check_provenance(claims: Sequence[Claim], labels: Mapping[str, str], *, source: str, commit: str) -> Finding:
    """The provenance against the image's labels and the caller's expectations."""
    name = "provenance"
    found = [claim for claim in claims if claim.is_provenance]
    if not found:
        return insufficient(name, "no provenance says who built this image", _ATTEST)
    try:
        said = [provenance.read_claims(claim.statement.predicate) for claim in found]
    except InvalidAttestationError as error:
        return failed(name, error.message, "build and attest the image again")
    revision = labels.get(annotations.REVISION, "")
    for one in said:
        for what, expected in (("the image's label says", revision), ("expected", commit)):
            if expected and one.commit != expected:
                got = one.commit[:12] or "no commit"
                return failed(
                    name, f"built from {got}, {what} {expected[:12]}", "do not run it: find out who pushed it"
                )
        if source and _plain(one.source) != _plain(source):
            return failed(name, f"built from {one.source or 'no source'}, expected {source}", "do not run it")
    if commit and not said[0].commit:
        return insufficient(name, "the provenance names no commit", _ATTEST)
    first = said[0]
    return passed(
        name, f"built by {first.builder} from {first.commit[:12] or 'outside of Git'} of {first.source or '-'}"
    )


async def check_commit(
    claims: Sequence[Claim], labels: Mapping[str, str], find_commit: Callable[[str], Awaitable[str | None]]
) -> Finding:
    """Whether the platform repository has the commit that the image was built from."""
    name = "commit"
    commits = [_commit_of(claim) for claim in claims if claim.is_provenance]
    commit = next((one for one in commits if one), labels.get(annotations.REVISION, ""))
    if not commit:
        return insufficient(name, "neither provenance nor label names a commit", _ATTEST)
    if await find_commit(commit) is None:
        return failed(name, f"{commit[:12]} is not in this repository", "fetch, or look where the image comes from")
    return passed(name, f"{commit[:12]} is in this repository")


def check_sbom(claims: Sequence[Claim], digest: Digest) -> Finding:
    """Whether there is an SBOM, of a form that can be read, about this image."""
    name = "sbom"
    found = [claim for claim in claims if claim.is_sbom]
    if not found:
        return insufficient(name, "no SBOM says what is in this image", _ATTEST)
    counts = []
    for claim in found:
        try:
            subject, count = sbom.read_sbom(claim.statement.predicate)
        except InvalidAttestationError as error:
            return failed(name, error.message, "build and attest the image again")
        if subject not in {None, digest}:
            return failed(name, f"the SBOM is about {str(subject)[:19]}", "build and attest the image again")
        counts.append(count)
    return passed(name, f"CycloneDX, {max(counts)} components")


def _commit_of(claim: Claim) -> str:
    try:
        return provenance.read_claims(claim.statement.predicate).commit
    except InvalidAttestationError:
        return ""


def _plain(url: str) -> str:
    """An address as builds write it; what is none is compared as it stands."""
    plain = url.removeprefix("git+") if url.startswith("git+http") else url
    return format_source(plain) or url
