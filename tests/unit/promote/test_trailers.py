"""A promotion can be read back from its commit alone."""

import pytest

from towpath.promote.trailers import Act, Move, Record, find_record, format_message

MOVE = Move("sensor", "sha-abcdef0", "sha256:" + "0" * 64, "abcdef0" + "1" * 33, "sha-1234567")


def read_back(message: str) -> Record | None:
    last_paragraph = message.strip().split("\n\n")[-1]
    return find_record([(line.split(": ", 1)[0], line.split(": ", 1)[1]) for line in last_paragraph.splitlines()])


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(Record(Act.PROMOTE, "prod", (MOVE,), gate="passed", by="alice"), id="promotion"),
        pytest.param(Record(Act.ROLLBACK, "prod", (MOVE,), (("sensor", "sha256:bad"),)), id="rollback"),
        pytest.param(Record(Act.PROMOTE, "prod", (MOVE, Move("chaos", "sha-0000000", "d", "r"))), id="two-services"),
    ],
)
def test_a_record_survives_the_commit_message(record: Record) -> None:
    assert read_back(format_message(record)) == record


def test_the_subject_says_what_happened() -> None:
    promotion = format_message(Record(Act.PROMOTE, "prod", (MOVE,)))
    rollback = format_message(Record(Act.ROLLBACK, "prod", (MOVE,), reason="it\nfailed"))

    assert promotion.splitlines()[0] == "Promote sensor sha-abcdef0 to prod"
    assert rollback.splitlines()[:3] == ["Roll back prod to sensor sha-abcdef0", "", "it failed"]


def test_an_ordinary_commit_is_no_record() -> None:
    assert find_record([("Signed-off-by", "alice")]) is None


def test_trailers_cut_by_hand_read_as_empty_words() -> None:
    record = find_record([("towpath-promote", "prod"), ("Towpath-Pin", "sensor sha-abcdef0")])

    assert record == Record(Act.PROMOTE, "prod", (Move("sensor", "sha-abcdef0", "", ""),))
