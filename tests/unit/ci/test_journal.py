"""What CI remembers over a crash, and what it does with a damaged memory."""

from pathlib import Path

import pytest

from towpath.ci.journal import KEPT_REPORTS, Journal
from towpath.ci.report import CiReport, Outcome, ServiceOutcome, ServiceReport

ONE, TWO = "1" * 40, "2" * 40
REPORT = CiReport(
    ONE,
    Outcome.RETRYING,
    started_at=1_769_851_800.0,
    seconds=0.5,
    attempt=3,
    tag="sha-1111111",
    services=(
        ServiceReport("chaos", ServiceOutcome.CARRIED, digest="sha256:x", revision=TWO),
        ServiceReport("sensor", ServiceOutcome.FAILED, "new", error="no main.py", warnings=("odd",)),
    ),
    removed=("old",),
    error="sensor could not be built",
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "ci")
    journal.open()
    return journal


def test_received_commits_are_pending_in_their_order_until_finished(journal: Journal, tmp_path: Path) -> None:
    journal.add(TWO)
    journal.add(ONE)
    journal.add(TWO)
    assert Journal(tmp_path / "ci").pending() == [TWO, ONE]

    journal.finish(TWO)
    journal.finish(TWO)
    assert Journal(tmp_path / "ci").pending() == [ONE]


def test_a_report_comes_back_as_it_was_saved(journal: Journal) -> None:
    journal.save(REPORT)

    assert journal.find(ONE) == REPORT
    assert journal.latest() == [REPORT]


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"[]", b"{}", b'{"commit": 1, "services": [{"outcome": "x"}], "removed": []}']
)
def test_a_damaged_report_is_none(journal: Journal, tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "ci" / "reports" / f"{ONE}.json").write_bytes(junk)

    assert journal.find(ONE) is None
    assert journal.latest() == []


def test_only_the_newest_reports_are_kept(journal: Journal, tmp_path: Path) -> None:
    for number in range(KEPT_REPORTS + 5):
        journal.save(CiReport(f"{number:040x}", Outcome.PUBLISHED, float(number)))

    kept = list((tmp_path / "ci" / "reports").iterdir())
    assert len(kept) == KEPT_REPORTS
    assert journal.find(f"{KEPT_REPORTS + 4:040x}") is not None
