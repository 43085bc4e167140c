"""Does the commit exist, and is it on the branch that is built?"""

from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, passed

NAME = "commit on branch"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse a tag without a commit, and a commit that a force push has removed or another branch holds."""
    if candidate.commit is None:
        return failed(
            NAME,
            f"no commit starts with {candidate.tag.removeprefix('sha-')}",
            f"push the commit to {candidate.branch}, or name another version",
        )
    short = candidate.commit[:7]
    head = await evidence.history.find_commit(f"refs/heads/{candidate.branch}")
    if head is None or not await evidence.history.is_ancestor(candidate.commit, head):
        return failed(NAME, f"{short} is not on {candidate.branch}", f"merge it into {candidate.branch} first")
    return passed(NAME, f"{short} is on {candidate.branch}")
