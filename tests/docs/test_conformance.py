"""The parts of docs/conformance.md name and count what their contract suites have: behaviours, cases, differences."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.document import Result, find_parts, format_counts, format_omissions, replace_part
from contract.conformance import CLUSTERS
from contract.node_conformance import NODES

ROOT = Path(__file__).parents[2]
SUITES = {"kubernetes": "resource_client", "node": "node"}
COLUMNS = {"kubernetes": CLUSTERS, "node": NODES}
DOCUMENT = ROOT / "docs" / "conformance.md"


def part(name: str) -> str:
    return find_parts(DOCUMENT.read_text())[name]


def behaviours(name: str, *, differing: bool) -> set[str]:
    found = set()
    for path in (ROOT / "tests" / "contract" / SUITES[name]).glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = [ast.unparse(one) for one in node.decorator_list]
                if not differing or any("mark.differs" in mark for mark in marks):
                    found.add(node.name.removeprefix("test_").replace("_", " "))
    return found


@pytest.mark.parametrize("name", SUITES)
def test_every_behaviour_is_listed(name: str) -> None:
    listed = {line[2:] for line in part(name).splitlines() if line.startswith("- ")}
    assert listed == behaviours(name, differing=False)


@pytest.mark.parametrize("name", SUITES)
def test_every_difference_has_its_row(name: str) -> None:
    table = part(name).partition("### Differences on purpose")[2].partition("\n### ")[0]
    rows = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")}
    assert rows - {"behaviour of Kubernetes", "behaviour of kubelet"} == behaviours(name, differing=True)


@pytest.fixture(scope="module")
def collected() -> list[str]:
    """All tests of the contract suites, as pytest collects them."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/contract"]
    found = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if "::" in line]


@pytest.mark.parametrize("name", SUITES)
def test_the_totals_are_those_of_the_collected_tests(name: str, collected: list[str]) -> None:
    suite = [one for one in collected if one.startswith(f"tests/contract/{SUITES[name]}/")]
    rows = {line.split(" | ")[0].removeprefix("| "): line.strip("| ").split(" | ") for line in part(name).splitlines()}
    for parameter, title in COLUMNS[name].items():
        cases = [one for one in suite if parameter in one.partition("[")[2].removesuffix("]").split("-")]
        counts = [int(cell) for cell in rows[title][1:]]
        assert counts[:2] == [len({one.partition("[")[0] for one in cases}), len(cases)], title
        assert sum(counts[2:]) == len(cases), f"{title}: each case has one outcome"
        assert counts[4] == 0, title
        assert part(name).count(f" | {title} | ") == counts[5], f"{title}: what was not run has its reason"


def test_behaviours_and_cases_are_counted_apart_and_what_is_not_run_is_told() -> None:
    results = [
        Result("test_a.py::test_it_holds[one-x]", "passed"),
        Result("test_a.py::test_it_holds[one-y]", "error"),
        Result("test_a.py::test_it_is_told[one]", "skipped", "Skipped: no wire"),
        Result("test_a.py::test_it_differs[one]", "xfailed", "so it is"),
    ]
    assert format_counts("one", results) == "| one | 3 | 4 | 1 | 1 | 1 | 1 |\n"
    assert format_omissions({"one": results}).endswith("|---|---|---|\n| it is told | one | no wire |\n")
    assert format_omissions({"one": results[:2]}) == ""


def test_a_suite_writes_its_own_part_and_leaves_the_others() -> None:
    order = ("one", "two", "three")
    document = replace_part("", "three", "## Third\n\n- a\n", order=order)
    document = replace_part(document, "one", "## First", order=order)
    again = replace_part(document, "one", "## First, again", order=order)
    assert find_parts(again) == {"one": "## First, again", "three": "## Third\n\n- a"}
    assert again.index("## First") < again.index("## Third")
    assert replace_part(again, "one", "## First", order=order) == document


def test_the_registry_fails_and_skips_nothing_beside_the_reference() -> None:
    rows = [line.strip("| ").split(" | ") for line in find_parts(DOCUMENT.read_text())["registry"].splitlines()]
    totals = {(row[0].split()[0], row[1]): row[3:] for row in rows if row[1:2] in (["1.1"], ["dev"])}
    for version in ("1.1", "dev"):
        passed, *others = totals["Towpath", version]
        assert int(passed) > 800
        assert others == ["0", "0", "0"]
        assert int(totals["docker-registry", version][1]) > 0
