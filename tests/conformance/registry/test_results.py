"""How findings are folded into tables, and written and read again."""

import json

import pytest

from conformance.document import Result
from conformance.registry.data_sets import titles_of
from conformance.registry.document import NOT_RUN, format_registry
from conformance.registry.facets import Facet, Version, facets_of
from conformance.registry.report import format_facets, format_summary, format_table, format_totals
from conformance.registry.results import Check, Outcome, Problem, Results

PROBLEM = Problem("GET /v2/", "status 500", "status 200")


def results(*outcomes: Outcome, name: str = "Towpath") -> Results:
    checks = [
        Check("image", f"check {n}", (Facet.PING, Facet.BLOB_GET), one, None if one is Outcome.PASS else PROBLEM)
        for n, one in enumerate(outcomes)
    ]
    return Results(name, Version.V1_1, ("image", "index"), checks)


def test_there_are_28_facets_and_24_data_sets() -> None:
    assert len(facets_of(Version.DEV)) == 28
    assert len(facets_of(Version.V1_1)) == 26
    assert len(titles_of(Version.DEV)) - 1 == 24  # and one for what needs no data


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        ((Outcome.PASS, Outcome.PASS), Outcome.PASS),
        ((Outcome.SKIP, Outcome.PASS), Outcome.SKIP),
        ((Outcome.FAIL, Outcome.SKIP, Outcome.PASS), Outcome.FAIL),
        ((Outcome.PASS, Outcome.ERROR, Outcome.FAIL), Outcome.ERROR),
    ],
)
def test_a_cell_is_as_good_as_its_worst_check(outcomes: tuple[Outcome, ...], worst: Outcome) -> None:
    found = results(*outcomes)
    assert found.find_cell(Facet.PING, "image") is found.find_facet(Facet.BLOB_GET) is worst
    assert found.find_cell(Facet.PING, "index") is None
    assert found.find_facet(Facet.REFERRERS) is None


def test_results_survive_being_written() -> None:
    found = results(*Outcome)
    document = json.loads(json.dumps(found.to_json()))
    assert Results.from_json(document) == found
    assert document["totals"] == {"total": 4, "pass": 1, "skip": 1, "fail": 1, "error": 1}
    assert document["table"]["image"]["ping"] == "error"


def test_a_problem_says_what_was_asked_what_came_and_what_should_have() -> None:
    summary = format_summary(results(Outcome.FAIL))
    assert "FAIL: image: check 0" in summary
    for text in (PROBLEM.request, f"got      {PROBLEM.got}", f"expected {PROBLEM.expected}"):
        assert text in summary


def test_the_tables_have_a_row_for_each_run_facet_and_data_set() -> None:
    runs = [results(Outcome.PASS), results(Outcome.PASS, Outcome.FAIL, name="other")]
    assert "| other | 1.1 | 2 | 1 | 1 | 0 | 0 |" in format_totals(runs)
    facets = format_facets(runs)
    assert "| 1 ping | 1 of 1 | 1 of 2, FAIL |" in facets
    assert "| 10 blob upload cancel | not in this version | not in this version |" in facets
    assert "| 28 referrers | not reached | not reached |" in facets
    assert "| image | ✓ | ✓ |" in format_table(runs[0])


def test_the_document_says_when_nothing_was_compared() -> None:
    ours = Result("conformance/registry/x", "passed", "", {"registry": json.dumps(results(Outcome.PASS).to_json())})
    theirs = Result("y", "passed", "", {"registry": json.dumps(results(Outcome.FAIL, name="docker").to_json())})
    assert NOT_RUN in format_registry([ours])
    both = format_registry([theirs, ours])
    assert NOT_RUN not in both
    assert both.index("### Towpath") < both.index("### docker")
