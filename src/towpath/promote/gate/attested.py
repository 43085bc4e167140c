"""Does a key that the platform trusts stand for where this image comes from, and for what is in it?

Asked only where the environment demands it (`attestation: required`). What is looked at, and why nobody else's word
counts: `attest.verification`.
"""

from towpath.attest.findings import Verdict
from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, insufficient, passed

NAME = "attested"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse an image whose provenance or SBOM nobody trusted has signed, or that contradicts them."""
    environment = candidate.environment.name
    if candidate.image is None or candidate.commit is None:
        return insufficient(NAME, "there is no image or no commit to look for", "see the checks before")
    if evidence.attestations is None or not (keys := evidence.attestations.trusted()):
        return insufficient(
            NAME,
            f"{environment} demands attestations, and no key is trusted here",
            "towpath keys create, then push a commit that touches the service",
        )
    pinned = candidate.image.reference.with_digest(candidate.image.descriptor.digest)
    findings = await evidence.attestations.examine(pinned, candidate.commit)
    for wanted, answer in ((Verdict.FAILED, failed), (Verdict.INSUFFICIENT, insufficient)):
        found = next((finding for finding in findings if finding.verdict is wanted), None)
        if found is not None:
            return answer(NAME, f"{found.check}: {found.evidence}", found.next_step)
    return passed(NAME, f"{len(findings)} checks of what {len(keys)} trusted keys signed")
