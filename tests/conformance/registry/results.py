"""What was found: one entry a check, folded into a table of facets by data sets, and written as JSON.

A check is `pass`, `fail` (the registry broke the specification), `skip` (it declined what the specification lets it
decline) or `error` (no answer could be read at all).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from conformance.registry.facets import Facet, Version


class Outcome(StrEnum):
    """How a check ended; from the best to the worst."""

    PASS = "pass"
    SKIP = "skip"
    FAIL = "fail"
    ERROR = "error"


@dataclass(frozen=True)
class Problem:
    """Why a check did not pass: what was asked, what came, what should have come."""

    request: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.request}\n    got      {self.got}\n    expected {self.expected}"


@dataclass(frozen=True)
class Check:
    """One finding, for one or several facets."""

    data_set: str
    name: str
    facets: tuple[Facet, ...]
    outcome: Outcome
    problem: Problem | None = None


@dataclass
class Results:
    """Everything that one run found on one registry. `data_sets` are the titles, in their order."""

    registry: str
    version: Version
    data_sets: tuple[str, ...]
    checks: list[Check] = field(default_factory=list)

    def totals(self) -> dict[Outcome, int]:
        """How many checks ended how."""
        counts = Counter(check.outcome for check in self.checks)
        return {outcome: counts[outcome] for outcome in Outcome}

    def find_cell(self, facet: Facet, data_set: str) -> Outcome | None:
        """The worst outcome of a facet with a data set; None where the two do not meet."""
        return _worst(check for check in self.checks if facet in check.facets and check.data_set == data_set)

    def find_facet(self, facet: Facet) -> Outcome | None:
        """The worst outcome of a facet with any data set."""
        return _worst(check for check in self.checks if facet in check.facets)

    def problems(self, *outcomes: Outcome) -> list[Check]:
        """The checks that ended so."""
        return [check for check in self.checks if check.outcome in outcomes]

    def to_json(self) -> dict[str, Any]:
        """The document of `--json`: totals, the table, and every check."""
        cells = {
            data_set: {facet: found for facet in Facet if (found := self.find_cell(facet, data_set))}
            for data_set in self.data_sets
        }
        return {
            "registry": self.registry,
            "version": self.version,
            "totals": {"total": len(self.checks), **self.totals()},
            "facets": {facet: found for facet in Facet if (found := self.find_facet(facet))},
            "table": cells,
            "checks": [_check_document(check) for check in self.checks],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Results":
        """Read what `to_json` wrote."""
        checks = [
            Check(
                one["data_set"],
                one["name"],
                tuple(Facet(facet) for facet in one["facets"]),
                Outcome(one["outcome"]),
                Problem(**one["problem"]) if "problem" in one else None,
            )
            for one in document["checks"]
        ]
        return cls(document["registry"], Version(document["version"]), tuple(document["table"]), checks)


def _worst(checks: Iterable[Check]) -> Outcome | None:
    order = list(Outcome)
    found = [order.index(check.outcome) for check in checks]
    return order[max(found)] if found else None


def _check_document(check: Check) -> dict[str, Any]:
    document: dict[str, Any] = {
        "data_set": check.data_set,
        "name": check.name,
        "facets": list(check.facets),
        "outcome": check.outcome,
    }
    if check.problem:
        problem = check.problem
        document["problem"] = {"request": problem.request, "got": problem.got, "expected": problem.expected}
    return document
