"""What the runbook says of metrics, states, waits and answers is so, and is all."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from towpath.kube.health import Health
from towpath.observe.metrics import Metrics
from towpath.observe.timeline import STAGES
from towpath.reconcile.status import Result, Sync
from towpath.reconcile.verdicts import Outcome
from towpath.source.signatures import FORGES

ROOT = Path(__file__).parent.parent.parent
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
REMOTE = (ROOT / "docs" / "remote.md").read_text()
SOURCE = ROOT / "src" / "towpath"


def table(text: str, head: str) -> dict[str, str]:
    """First cell -> the whole row, of the table whose head line begins with `head`."""
    lines = text[text.index(f"\n| {head} |") :].partition("\n\n")[0].strip().splitlines()
    rows = [line for line in lines[2:] if line.startswith("|")]
    return {row.removeprefix("|").partition("|")[0].strip().strip("`"): row for row in rows}


def test_every_metric_is_in_the_table_with_its_labels() -> None:
    metrics = Metrics(version="1")
    metrics.read_deliveries(Counter())
    metrics.read_remote(lambda: None, lambda: 0)
    described = {}
    collectors: list[Any] = list(metrics.registry._collector_to_names)
    for collector in collectors:
        for family in collector.describe():
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = tuple(getattr(collector, "_labelnames", ()))
            described[name] = labels or ("provider", "reason") if name.endswith("deliveries_total") else labels

    documented = table(OPERATIONS, "metric")

    assert set(documented) == set(described)
    for name, labels in described.items():
        assert tuple(re.findall(r"`(\w+)`", documented[name].split("|")[2])) == labels, name


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("towpath_stage_seconds", STAGES[1:]),
        ("towpath_reconciles_total", tuple(Result)),
        ("towpath_promotions_total", ("passed", "failed", "insufficient evidence")),
        ("towpath_builds_total", ("built", "carried", "failed")),
    ],
)
def test_the_values_of_labels_are_named(metric: str, values: tuple[str, ...]) -> None:
    row = table(OPERATIONS, "metric")[metric]

    assert [value for value in values if value not in row] == []


def test_every_state_and_verdict_is_explained() -> None:
    assert set(table(OPERATIONS, "sync")) == set(Sync)
    assert set(table(OPERATIONS, "health")) == set(Health)
    assert set(table(OPERATIONS, "verdict in `history`")) == set(Outcome)
    acts = set(re.findall(r'"act": "(\w+)"', (SOURCE / "observe" / "history.py").read_text()))
    assert set(table(OPERATIONS, "act in `history`")) == acts | {"promote", "rollback"}


def test_every_reason_that_the_documents_name_exists() -> None:
    code = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    waits = " ".join(table(OPERATIONS, "what is waited for"))
    answers = " ".join(table(REMOTE, "answer"))
    reasons = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][A-Za-z]+)+\b", waits + answers))

    assert len(reasons) > 8
    assert [one for one in sorted(reasons) if f"({one})" not in code and f'"{one}"' not in code] == []


def test_every_forge_is_in_the_set_up_of_webhooks() -> None:
    rows = " ".join(table(REMOTE, "forge")).lower()

    assert [forge for forge in FORGES if forge not in rows] == []


def stored() -> dict[str, str]:
    """Every name below `.towpath` in the table of what is stored where -> what happens when it is lost."""
    text = ARCHITECTURE[ARCHITECTURE.index("## What is stored where") :]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    found: dict[str, str] = {}
    for row in rows[1:]:
        for name in re.findall(r"`((?!refs/)[\w./-]+)`", row[2]):
            key = name.removeprefix(".towpath/")
            found[key] = found.get(key, "") + row[3]
    return found


def test_everything_that_is_stored_is_in_the_table_of_what_is_lost_without_it() -> None:
    code = "\n".join(path.read_text() for path in (SOURCE / "server").glob("*.py"))
    names = set(re.findall(r'\bstate / "([\w.-]+)"', code))
    files = re.findall(r'^\w*(?:FILE|DIRECTORY) = "([\w.-]+)"', code, re.MULTILINE)
    # These are below others: of a registry's directory, and of `build`; `.gitignore` keeps git from looking.
    names |= {*files} - {"notify.secret", "token.key", "engines"}

    assert len(names) > 12
    assert sorted(names - set(stored()) - {".gitignore"}) == []


def test_the_backup_has_everything_that_must_last() -> None:
    (command,) = re.findall(r"tar -czf towpath-backup.*?```", OPERATIONS, re.DOTALL)
    backed_up = set(re.findall(r"\.towpath/([\w.-]+)", command))
    must_last = {name for name, loss in stored().items() if "back it up" in loss}

    assert backed_up == must_last
    listed = table(OPERATIONS, "what")
    assert [name for name in backed_up if not any(name in first for first in listed)] == []
