"""Results as text: a summary for the terminal, and the tables of docs/conformance.md."""

from collections.abc import Sequence

from conformance.registry.facets import Facet, facets_of
from conformance.registry.results import Outcome, Results

SIGNS = {Outcome.PASS: "✓", Outcome.SKIP: "skip", Outcome.FAIL: "FAIL", Outcome.ERROR: "ERROR", None: ""}


def format_summary(results: Results) -> str:
    """What was found, the problems first."""
    lines = [
        f"{check.outcome.upper()}: {check.data_set}: {check.name}\n  {check.problem}\n"
        for check in results.problems(Outcome.SKIP, Outcome.FAIL, Outcome.ERROR)
    ]
    totals = ", ".join(f"{number} {outcome}" for outcome, number in results.totals().items())
    lines.append(f"{results.registry}, version {results.version}: {len(results.checks)} checks: {totals}\n")
    return "".join(lines)


def format_totals(runs: Sequence[Results]) -> str:
    """One row a run."""
    rows = ["| registry | version | checks | passed | failed | errors | skipped |\n|---|---|---|---|---|---|---|\n"]
    for run in runs:
        counts = run.totals()
        numbers = [counts[outcome] for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.SKIP)]
        rows.append(f"| {run.registry} | {run.version} | {len(run.checks)} | {' | '.join(map(str, numbers))} |\n")
    return "".join(rows)


def format_facets(runs: Sequence[Results]) -> str:
    """Facets by runs: for each, how many of its checks passed."""
    head = "| facet |" + "".join(f" {run.registry}, {run.version} |" for run in runs)
    rows = [head + "\n|---|" + "---|" * len(runs) + "\n"]
    for number, facet in enumerate(Facet, 1):
        rows.append(f"| {number} {facet} |" + "".join(f" {_share(run, facet)} |" for run in runs) + "\n")
    return "".join(rows)


def format_table(run: Results) -> str:
    """Data sets by facets, by their numbers; one sign a cell, none where the two do not meet."""
    facets = facets_of(run.version)
    numbers = "".join(f" {list(Facet).index(facet) + 1} |" for facet in facets)
    rows = [f"| data set |{numbers}\n|---|{':-:|' * len(facets)}\n"]
    for title in run.data_sets:
        cells = "".join(f" {SIGNS[run.find_cell(facet, title)]} |" for facet in facets)
        rows.append(f"| {title} |{cells}\n")
    return "".join(rows)


def _share(run: Results, facet: Facet) -> str:
    mine = [check for check in run.checks if facet in check.facets]
    if not mine:
        return "not reached" if facet in facets_of(run.version) else "not in this version"
    passed = sum(check.outcome is Outcome.PASS for check in mine)
    worst = run.find_facet(facet)
    return f"{passed} of {len(mine)}" + ("" if worst is Outcome.PASS else f", {SIGNS[worst]}")
