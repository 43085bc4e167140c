"""The parts of docs/conformance.md name just the behaviours and differences that their contract suites have."""

import ast
from pathlib import Path

import pytest

from conformance.document import find_parts, replace_part

ROOT = Path(__file__).parents[2]
SUITES = {"kubernetes": "resource_client", "node": "node"}
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
