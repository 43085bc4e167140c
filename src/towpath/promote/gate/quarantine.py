"""Was this digest rolled back before? A digest in quarantine is not promoted again, under whatever tag."""

from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, insufficient, passed

NAME = "not quarantined"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse a digest that a rollback has put aside."""
    if candidate.image is None:
        return insufficient(NAME, "there is no digest to look up", "see the checks before")
    digest = str(candidate.image.descriptor.digest)
    commit = evidence.quarantined.get(digest)
    if commit is None:
        return passed(NAME, "no rollback named this digest")
    return failed(
        NAME,
        f"{digest[:19]} was rolled back and quarantined by {commit[:7]}",
        "mend the service and promote the new version",
    )
