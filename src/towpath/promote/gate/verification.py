"""Has the very same digest run in the environment before, healthy without a break for the soak time?

Healthy time is counted on the digest, not on the tag, and starts again with every restart or failed probe.
"""

from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, insufficient, passed

NAME = "verified before"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse what is unhealthy or unknown in the environment that stands before this one."""
    before = candidate.environment.promotes_from
    if before is None:
        return passed(NAME, f"no environment stands before {candidate.environment.name}")
    if candidate.image is None:
        return insufficient(NAME, "there is no image to look for", "see the checks before")
    service = candidate.service.name
    standing = await evidence.runtime.standing(before, service)
    if standing is None:
        return insufficient(NAME, f"{service} does not run in {before}", f"let {before} run it first")
    digest = str(candidate.image.descriptor.digest)
    if standing.digest != digest:
        return insufficient(
            NAME,
            f"{before} runs {standing.digest[:19]}, not {digest[:19]}",
            f"let {before} run {candidate.tag} first, or promote what it runs",
        )
    if standing.healthy_since is None and standing.degraded:
        return failed(NAME, f"unhealthy in {before}: {standing.message}", f"mend it; see `towpath explain {before}`")
    if standing.healthy_since is None:
        return insufficient(
            NAME, f"not healthy in {before} yet: {standing.message}", f"see `towpath explain {before}`, or add --wait"
        )
    soaked = max(evidence.now - standing.healthy_since, 0.0)
    needed = candidate.environment.soak_seconds
    if soaked < needed:
        return insufficient(
            NAME,
            f"healthy in {before} for {soaked:.0f} s of {needed:.0f} s",
            f"try again in {needed - soaked:.0f} s, or add --wait",
        )
    return passed(NAME, f"the same digest has been healthy in {before} for {soaked:.0f} s (soak {needed:.0f} s)")
