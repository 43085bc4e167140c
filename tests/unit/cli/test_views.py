"""Commands that show something: as a table and as JSON."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.canned_platform import CannedPlatform

SENSOR: dict[str, Any] = {
    "service": "sensor",
    "tag": "sha-1234567",
    "channel": "canary",
    "digest": "sha256:1",
    "commit": "1234567" + "0" * 33,
    "subject": "Read faster, and then some more words that are cut off",
    "age_seconds": 150.0,
    "ready": 1,
    "desired": 3,
    "health": "Progressing",
    "message": "",
    "verdict": "",
    "live_digests": {},
}
DEV: dict[str, Any] = {
    "name": "dev",
    "sync": "Synced",
    "health": "Progressing",
    "message": "",
    "next": "",
    "hold": None,
    "services": [SENSOR],
}
STATUS: dict[str, Any] = {
    "platform": "lab",
    "head": {"commit": "1" * 40, "subject": "x", "age_seconds": 1.0},
    "problem": "",
    "ci": {"commit": "", "outcome": "", "message": "", "report": None},
    "environments": [DEV],
}


def test_status_is_a_table(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /status", STATUS)
    said = type_("status")

    assert said.code == 0
    assert said.lines[0].split() == ["ENVIRONMENT", "SERVICE", "VERSION", "COMMIT", "AGE", "READY", "HEALTH", "SYNC"]
    assert said.lines[1].split("   ")[0] == "dev"
    assert "canary (sha-1234567)" in said.lines[1]
    assert "1234567 Read faster, and then some more words th " in said.lines[1]
    assert said.lines[1].split()[-5:] == ["th", "2m", "1/3", "Progressing", "Synced"]
    assert said.lines == [line.rstrip() for line in said.lines]


def test_status_tells_what_stands_in_the_way(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    hold = {"reason": "holiday", "by": "ada", "until": 1.0}
    dev = {**DEV, "message": "waiting for the first build of sensor", "next": "wait", "hold": hold, "services": []}
    ci = {**STATUS["ci"], "message": "no entrypoint"}
    platform.answer(
        "GET /status", {**STATUS, "environments": [dev], "ci": ci, "problem": "nmae: unknown", "head": None}
    )
    said = type_("status", "dev")

    assert platform.asked == [("GET /status", {"environment": "dev"}, None)]
    for words in (
        "dev: waiting for the first build of sensor\n  next: wait",
        "dev: on hold: holiday",
        "blueprint: nmae: unknown",
        "nothing was pushed yet",
        "build: no entrypoint",
    ):
        assert words in said.out


def test_a_broken_blueprint_is_told_once(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    broken = "the blueprint is not valid\n  towpath.yaml:1: nmae\n  next: correct it"
    dev = {**DEV, "message": "the blueprint is not valid\n  towpath.yaml:1: nmae", "next": "correct it"}
    ci = {**STATUS["ci"], "message": broken}
    platform.answer("GET /status", {**STATUS, "environments": [dev], "ci": ci, "problem": broken})

    assert type_("status").out.count("nmae") == 1


@pytest.mark.parametrize(
    ("health", "sync", "code"), [("Healthy", "Synced", 0), ("Healthy", "OutOfSync", 3), ("Degraded", "Synced", 3)]
)
def test_status_can_be_asked_by_a_script(
    platform: CannedPlatform, type_: Callable[..., Any], health: str, sync: str, code: int
) -> None:
    platform.answer("GET /status", {**STATUS, "environments": [{**DEV, "health": health, "sync": sync}]})

    assert type_("status", "--exit-code").code == code
    assert type_("status").code == 0


ENTRY = {
    "at": 1_769_851_800.0,
    "environment": "prod",
    "act": "promote",
    "commit": "abcdef0" + "0" * 33,
    "verdict": "healthy",
    "moves": [{"service": "sensor", "tag": "sha-1234567", "previous": ""}],
}


def test_history_shows_one_line_a_move(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /history", {"entries": [ENTRY]})
    said = type_("history", "prod", "--service", "sensor", "-n", "5")

    assert platform.asked[0][1] == {"environment": "prod", "service": "sensor", "limit": "5"}
    assert said.lines[1].split() == [
        "2026-01-31",
        "09:30:00Z",
        "prod",
        "promote",
        "sensor",
        "-",
        "->",
        "sha-1234567",
        "healthy",
        "abcdef0",
    ]


def test_the_timeline_draws_each_stage_at_its_place(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    spans = [{"stage": "built", "start": 0.0, "end": 0.5}, {"stage": "ready", "start": 0.5, "end": 2.0}]
    waterfall = {"commit": "1" * 40, "environment": "dev", "ready": True, "total_seconds": 2.0, "subject": "x"}
    platform.answer("GET /timeline", {"waterfalls": [{**waterfall, "spans": spans}]})
    said = type_("history", "--timeline")

    assert said.lines[0] == "1111111 -> dev  ready after 2.00 s  x"
    assert said.lines[1] == "  built        500 ms  " + "█" * 10
    assert said.lines[2] == "  ready       1500 ms  " + " " * 10 + "█" * 30


def test_a_waterfall_without_any_time_is_drawn_all_the_same(
    platform: CannedPlatform, type_: Callable[..., Any]
) -> None:
    span = {"stage": "fetched", "start": 0.0, "end": 0.0}
    waterfall = {"commit": "1" * 40, "environment": "dev", "ready": False, "total_seconds": 0.0, "subject": "x"}
    platform.answer("GET /timeline", {"waterfalls": [{**waterfall, "spans": [span]}]})

    assert type_("history", "--timeline").lines[1].endswith("0 ms  █")


def test_where_lists_each_place_and_what_has_none(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    place = {"environment": "dev", "state": "running, healthy", "age_seconds": 3.0}
    sensor = {"service": "sensor", "tag": "sha-1234567", "digest": "sha256:" + "a" * 64, "state": "built"}
    lamp = {"service": "lamp", "tag": "sha-1234567", "digest": "", "state": "failed", "environments": []}
    document = {"commit": "1" * 40, "subject": "Start", "services": [{**sensor, "environments": [place]}, lamp]}
    platform.answer("GET /where/sha-1234567", document)
    said = type_("where", "sha-1234567")

    assert said.lines[0] == "1111111 Start"
    assert "sha256:aaaaaaaaaaaa   dev           running, healthy   3s" in said.out
    assert said.lines[-1].split() == ["lamp", "sha-1234567", "-", "-", "failed", "-"]


def test_a_branch_may_have_any_name(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /where/feature/a%20b%3Fc", {"commit": "x", "subject": "", "services": []})

    assert type_("where", "feature/a b?c").code == 0


EVENT = {
    "at": 1_769_851_800.0,
    "environment": "dev",
    "type": "Normal",
    "reason": "Started",
    "object": "Pod/sensor-0",
    "message": "Started container",
    "count": 2,
}


def test_events_are_listed_with_their_count(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /events", {"events": [EVENT]})
    said = type_("events", "dev", "-n", "3")

    assert platform.asked[0][1] == {"environment": "dev", "limit": "3"}
    assert said.lines[1].endswith("Started container (x2)")
    assert said.lines[1].startswith("09:30:00Z")


def test_events_that_are_followed_are_told_once_each(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    later, older = {**EVENT, "at": 1_769_851_801.0, "reason": "Killing"}, {**EVENT, "at": 1.0, "reason": "Forgotten"}
    gone = {"message": "the platform stops", "hint": "", "exit_code": 6}
    platform.answer("GET /events", [{"events": [EVENT]}, {"events": [older, EVENT, later]}, (502, gone)])
    said = type_("events", "-f")

    assert (said.code, said.err) == (6, "towpath: the platform stops\n")
    assert (said.out.count("Started "), said.out.count("Killing "), said.out.count("Forgotten")) == (3, 1, 0)


def test_events_cannot_be_followed_as_json(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /events", {"events": []})

    assert type_("events", "-f", "-o", "json").code == 2


def test_explain_folds_long_reasons(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    reason = "word " * 40 + "\n  towpath.yaml:1: nmae"
    finding = {"subject": "dev", "state": "failed", "reason": reason, "evidence": "", "next": "mend it"}
    platform.answer("GET /explain", {"findings": [finding]})
    said = type_("explain", "dev", "sensor")

    assert platform.asked[0][1] == {"environment": "dev", "service": "sensor"}
    assert said.lines[0] == "dev: failed"
    assert max(map(len, said.lines)) <= 110
    assert said.lines[2].startswith("            word")
    assert said.lines[-2:] == ["              towpath.yaml:1: nmae", "  next:     mend it"]


DIFF = {
    "environment": "dev",
    "objects": [
        {
            "object": "ConfigMap/dev/settings",
            "action": "configured",
            "changes": [
                {"path": "data.level", "before": "low", "after": "high"},
                {"path": "data.new", "before": None, "after": "x"},
                {"path": "data.old", "before": "y", "after": None},
            ],
        }
    ],
}


def test_diff_shows_before_and_after(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /diff", DIFF)

    assert type_("diff", "dev").lines == [
        "configured ConfigMap/dev/settings",
        "    data.level",
        "      - low",
        "      + high",
        "    data.new",
        "      + x",
        "    data.old",
        "      - y",
    ]
    assert type_("diff", "dev", "--exit-code").code == 3


def test_no_difference_is_said(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /diff", {"environment": "dev", "objects": []})
    said = type_("diff", "dev", "--exit-code")

    assert (said.code, said.out) == (0, "dev matches Git\n")


def test_logs_are_passed_on_byte_by_byte(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /logs", b"one\n\xc3\xa9two\n")
    said = type_("logs", "sensor", "-e", "dev", "-f", "-p", "-n", "0", "--pod", "sensor-0")

    assert (said.code, said.out) == (0, "one\n\u00e9two\n")
    assert platform.asked[0][1] == {
        "service": "sensor",
        "environment": "dev",
        "pod": "sensor-0",
        "follow": "true",
        "previous": "true",
        "tail": "0",
    }


def test_doctor_folds_its_evidence_and_ends_with_3_on_a_problem(
    platform: CannedPlatform, type_: Callable[..., Any]
) -> None:
    evidence = "the blueprint names 127.0.0.1:7070, and nothing of ours listens there; " * 3
    check = {"check": "registry", "state": "problem", "evidence": evidence, "next": "start with --port 7070"}
    platform.answer("GET /doctor", {"checks": [check]})
    said = type_("doctor")

    assert said.code == 3
    assert max(map(len, said.lines)) <= 110
    assert said.lines[-1] == " " * 30 + "next: start with --port 7070"
    assert [line for line in said.lines if line.startswith("ok       python")]


def test_doctor_is_well_when_everything_is(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("GET /doctor", {"checks": []})

    assert type_("doctor").code == 0


@pytest.mark.parametrize(
    ("arguments", "path", "document"),
    [
        (["status"], "GET /status", STATUS),
        (["history"], "GET /history", {"entries": [ENTRY]}),
        (["history", "--timeline"], "GET /timeline", {"waterfalls": []}),
        (["where", "main"], "GET /where/main", {"commit": "x", "subject": "", "services": []}),
        (["events"], "GET /events", {"events": [EVENT]}),
        (["explain"], "GET /explain", {"findings": []}),
        (["diff", "dev"], "GET /diff", DIFF),
    ],
)
def test_every_view_prints_its_document_as_json(
    platform: CannedPlatform, type_: Callable[..., Any], arguments: list[str], path: str, document: Any
) -> None:
    platform.answer(path, document)
    said = type_(*arguments, "-o", "json")

    assert (said.code, said.json()) == (0, document)
    assert said.err == ""
