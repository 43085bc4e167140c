"""The gate: what must hold before a version may enter an environment, one file a check.

A check gets the candidate and the evidence and returns a verdict with what it saw and the next step. Checks are
independent and run in the order below, cheapest first; a wrong tag form ends the run, since nothing else can be looked
up. Attestations are looked at where the environment demands them. `run_gate` never writes.
"""

from collections.abc import Awaitable, Callable

from towpath.blueprint.model import REQUIRED
from towpath.promote.gate import (
    attested,
    completeness,
    downgrade,
    history,
    pullability,
    quarantine,
    revision,
    tag_form,
    verification,
)
from towpath.promote.gate.evidence import Candidate, Evidence
from towpath.promote.gate.verdict import CheckResult, GateReport, Verdict

__all__ = ["CHECKS", "Candidate", "CheckResult", "Evidence", "GateReport", "Verdict", "run_gate"]

Check = Callable[[Candidate, Evidence], Awaitable[CheckResult]]

CHECKS: tuple[Check, ...] = (
    tag_form.check,
    history.check,
    completeness.check,
    pullability.check,
    revision.check,
    verification.check,
    quarantine.check,
    downgrade.check,
)
DEMANDED = attested.check


async def run_gate(candidate: Candidate, evidence: Evidence) -> GateReport:
    """Run every check. Raises RemoteError if a peer cannot be asked at all."""
    results: list[CheckResult] = []
    demanded = (DEMANDED,) if candidate.environment.attestation == REQUIRED else ()
    for check in (*CHECKS, *demanded):
        results.append(await check(candidate, evidence))
        if check is tag_form.check and results[-1].verdict is not Verdict.PASSED:
            break
    return GateReport(tuple(results))
