"""The parts of docs/conformance.md name and count what their contract suites have: behaviours, cases, differences."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.document import (
    SHOWN_LINES,
    Part,
    Result,
    find_parts,
    format_counts,
    format_differences,
    format_omissions,
    replace_part,
)
from conformance.registry.document import find_examined
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


PART = Part((), lambda _: "", "make parts", lambda text: [word for word in text.split() if "/" in word])


def test_a_part_that_is_what_was_found_has_no_differences() -> None:
    document = replace_part(
        replace_part("", "one", "- a\n\n- b\n", order=("one", "two")), "two", "c", order=("one", "two")
    )
    assert format_differences(document, "one", PART, "- a\n\n- b\n") == []


def test_what_a_run_found_otherwise_is_shown_with_the_way_out() -> None:
    document = replace_part("", "one", "same\nold\nsame", order=["one"])
    shown = format_differences(document, "one", PART, "same\nnew\nsame")
    assert shown[1:3] == ["-old", "+new"]
    assert shown[-1].endswith("run `make parts` and commit its result")
    assert format_differences(document, "two", PART, "x")[1] == "+x", "a part that is not in the document"


def test_another_version_of_who_was_examined_is_said_first() -> None:
    document = replace_part("", "one", "judge/1 had 3", order=["one"])
    assert format_differences(document, "one", PART, "judge/2 had 4")[0] == (
        "the document is about judge/1; this run examined judge/2"
    )


def test_a_part_that_differs_everywhere_is_cut() -> None:
    shown = format_differences("", "one", PART, "".join(f"{number}\n" for number in range(100)))
    assert len(shown) == SHOWN_LINES + 2
    assert shown[-2] == f"… and {101 - SHOWN_LINES} lines more"


def test_the_registries_of_a_part_are_found_by_name_and_version() -> None:
    ours, theirs = find_examined(part("registry"))
    assert ours == "Towpath"
    assert theirs.startswith("docker-registry ")


def test_a_run_that_checks_fails_on_a_difference_and_writes_nothing(tmp_path: Path) -> None:
    document = tmp_path / "conformance.md"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/conformance/registry/test_results.py",
    ]

    def run(option: str) -> tuple[int, str]:
        done = subprocess.run([*argv, option, str(document)], cwd=ROOT, check=False, capture_output=True, text=True)
        return done.returncode, done.stdout

    assert run("--conformance")[0] == 0
    written = document.read_text()
    assert run("--check-conformance")[0] == 0
    edited = written.replace("| facet |", "| facets |")
    document.write_text(edited)
    code, said = run("--check-conformance")
    assert code == 1
    assert "-| facets |" in said
    assert "make conformance-registry" in said
    assert document.read_text() == edited


def test_the_registry_fails_and_skips_nothing_beside_the_reference() -> None:
    rows = [line.strip("| ").split(" | ") for line in find_parts(DOCUMENT.read_text())["registry"].splitlines()]
    totals = {(row[0].split()[0], row[1]): row[3:] for row in rows if row[1:2] in (["1.1"], ["dev"])}
    for version in ("1.1", "dev"):
        passed, *others = totals["Towpath", version]
        assert int(passed) > 800
        assert others == ["0", "0", "0"]
        assert int(totals["docker-registry", version][1]) > 0
