"""What a check can say, and what the gate makes of it.

Three values, because "no evidence yet" is neither a pass nor a fault: a fresh version has not failed its soak, it has
not finished it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of one check, or of the whole gate."""

    PASSED = "passed"
    FAILED = "failed"
    INSUFFICIENT = "insufficient evidence"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's verdict, what it saw, and what to do about it (empty when it passed)."""

    check: str
    verdict: Verdict
    evidence: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class GateReport:
    """All verdicts of one run of the gate, in the order of the checks."""

    results: tuple[CheckResult, ...]

    @property
    def verdict(self) -> Verdict:
        """Failed if any check failed; else insufficient if any lacked evidence; else passed."""
        verdicts = {result.verdict for result in self.results}
        for verdict in (Verdict.FAILED, Verdict.INSUFFICIENT):
            if verdict in verdicts:
                return verdict
        return Verdict.PASSED


def passed(check: str, evidence: str) -> CheckResult:
    """The check found what it wanted."""
    return CheckResult(check, Verdict.PASSED, evidence)


def failed(check: str, evidence: str, next_step: str) -> CheckResult:
    """The check found a reason against the promotion."""
    return CheckResult(check, Verdict.FAILED, evidence, next_step)


def insufficient(check: str, evidence: str, next_step: str) -> CheckResult:
    """The check cannot tell yet."""
    return CheckResult(check, Verdict.INSUFFICIENT, evidence, next_step)
