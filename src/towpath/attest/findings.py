"""What a verification finds: one verdict a check, with what was seen and the next step.

Three values, as in the gate: an image that nobody signed is not proven wrong, it is not proven.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of one check, or of all."""

    PASSED = "passed"
    FAILED = "failed"
    INSUFFICIENT = "insufficient evidence"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's verdict; `next_step` is empty when it passed."""

    check: str
    verdict: Verdict
    evidence: str
    next_step: str = ""


def passed(check: str, evidence: str) -> Finding:
    """The check found what it wanted."""
    return Finding(check, Verdict.PASSED, evidence)


def failed(check: str, evidence: str, next_step: str) -> Finding:
    """The check found a contradiction."""
    return Finding(check, Verdict.FAILED, evidence, next_step)


def insufficient(check: str, evidence: str, next_step: str) -> Finding:
    """There is nothing to tell by."""
    return Finding(check, Verdict.INSUFFICIENT, evidence, next_step)


def conclude(findings: Iterable[Finding]) -> Verdict:
    """Failed if any check failed; else insufficient if any lacked evidence; else passed."""
    verdicts = {finding.verdict for finding in findings}
    for verdict in (Verdict.FAILED, Verdict.INSUFFICIENT):
        if verdict in verdicts:
            return verdict
    return Verdict.PASSED
