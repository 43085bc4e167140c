"""Can the environment's own pull secret pull it? Not the platform's credentials: those of the namespace."""

from towpath.ociclient.errors import PullError
from towpath.promote.gate.completeness import missing_parts
from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, insufficient, passed

NAME = "pullable by the environment"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse what the nodes of the environment would not be allowed to pull."""
    if candidate.image is None:
        return insufficient(NAME, "there is no image to pull", "see the check before")
    environment = candidate.environment.name
    try:
        await evidence.as_environment.manifest(candidate.reference)
    except PullError as error:
        return failed(
            NAME,
            f"the pull secret of {environment} cannot pull {candidate.reference}: {error.message}",
            f"give it pull rights on {candidate.reference.repository}, or mend the secret",
        )
    missing = await missing_parts(candidate, evidence.as_environment)
    if missing:
        return failed(NAME, f"the pull secret of {environment} cannot read {', '.join(missing)}", "widen its rights")
    return passed(NAME, f"the pull secret of {environment} reads the manifest and every blob")
