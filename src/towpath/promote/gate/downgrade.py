"""Is it newer than what the environment names at present? Going back is a rollback, and says so."""

from towpath.blueprint.model import UNRELEASED_TAG
from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, failed, insufficient, passed

NAME = "no silent downgrade"


async def check(candidate: Candidate, evidence: Evidence) -> CheckResult:
    """Refuse an ancestor of the current pin's commit, unless the caller said that this is meant."""
    environment = candidate.environment.name
    if candidate.current is None or candidate.current.tag in ("", UNRELEASED_TAG):
        return passed(NAME, f"the first release of {candidate.service.name} in {environment}")
    pinned = candidate.current.tag
    if candidate.commit is None:
        return insufficient(NAME, "there is no commit to compare", "see the checks before")
    if candidate.current_commit is None:
        return passed(NAME, f"the commit of {pinned} is no longer in the history")
    if await evidence.history.is_ancestor(candidate.current_commit, candidate.commit):
        return passed(NAME, f"{candidate.tag} descends from {pinned}")
    if evidence.allow_downgrade:
        return passed(NAME, f"{candidate.tag} is older than {pinned}, and the downgrade was asked for")
    return failed(
        NAME,
        f"{candidate.tag} is older than {pinned}, which {environment} names",
        f"to go back: towpath rollback {environment}; or add --allow-downgrade",
    )
