"""docs/conformance.md names exactly the behaviours and the differences that the contract suite has."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "tests" / "contract" / "resource_client"
DOCUMENT = ROOT / "docs" / "conformance.md"


def behaviours(*, differing: bool) -> set[str]:
    found = set()
    for path in SUITE.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = [ast.unparse(one) for one in node.decorator_list]
                if not differing or any("mark.differs" in mark for mark in marks):
                    found.add(node.name.removeprefix("test_").replace("_", " "))
    return found


def test_every_behaviour_is_listed() -> None:
    listed = {line[2:] for line in DOCUMENT.read_text().splitlines() if line.startswith("- ")}
    assert listed == behaviours(differing=False)


def test_every_difference_has_its_row() -> None:
    table = DOCUMENT.read_text().partition("## Differences on purpose")[2].partition("\n## ")[0]
    rows = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")}
    assert rows - {"behaviour of Kubernetes"} == behaviours(differing=True)
