"""Commands that change something."""

import getpass
from collections.abc import Callable
from typing import Any

import pytest

from fakes.canned_platform import CannedPlatform

CHECK = {"check": "image complete", "verdict": "passed", "evidence": "3 layers", "next": ""}
SOAK = {"check": "verified", "verdict": "insufficient evidence", "evidence": "20 s of 60 s", "next": "wait 40 s"}
MOVE = {"service": "sensor", "tag": "sha-1234567", "digest": "sha256:1", "revision": "1" * 40, "previous": ""}
PASSED: dict[str, Any] = {
    "environment": "prod",
    "verdict": "passed",
    "commit": "abcdef0" + "0" * 33,
    "moves": [MOVE],
    "gates": {"sensor": [CHECK]},
    "diff": [],
}
WAITING = {**PASSED, "verdict": "insufficient evidence", "commit": None, "gates": {"sensor": [CHECK, SOAK]}}
REFUSED = {**WAITING, "verdict": "failed"}


def test_a_promotion_shows_every_check_and_the_commit(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("POST /promotions", PASSED)
    said = type_("promote", "sensor", "--to", "prod", "--tag", "sha-1234567", "--allow-downgrade")

    assert said.code == 0
    assert "sensor    image complete   passed    3 layers" in said.out
    assert said.lines[-1] == "promoted sensor sha-1234567 to prod by abcdef0"
    assert platform.asked[0][2] == {
        "services": ["sensor"],
        "environment": "prod",
        "version": "sha-1234567",
        "dry_run": False,
        "allow_downgrade": True,
        "by": getpass.getuser(),
    }


@pytest.mark.parametrize("document", [WAITING, REFUSED])
def test_a_promotion_that_is_not_let_through_ends_with_3_and_the_next_step(
    platform: CannedPlatform, type_: Callable[..., Any], document: Any
) -> None:
    platform.answer("POST /promotions", document)
    said = type_("promote", "sensor", "--to", "prod")

    assert said.code == 3
    assert "next: wait 40 s" in said.out
    assert "promoted" not in said.out


def test_missing_evidence_is_waited_for_but_a_refusal_is_not(
    platform: CannedPlatform, type_: Callable[..., Any]
) -> None:
    platform.answer("POST /promotions", [WAITING, PASSED])
    assert type_("promote", "sensor", "--to", "prod", "--wait", "30").code == 0
    platform.answer("POST /promotions", [REFUSED, PASSED])
    assert type_("promote", "sensor", "--to", "prod", "--wait", "30").code == 3


def test_a_dry_run_shows_what_would_change(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    change = {"path": "spec.replicas", "before": "1", "after": "3"}
    diff = [{"object": "StatefulSet/prod/sensor", "action": "configured", "changes": [change]}]
    platform.answer("POST /promotions", {**PASSED, "commit": None, "diff": diff})
    said = type_("promote", "sensor", "--to", "prod", "--dry-run")

    assert "configured StatefulSet/prod/sensor" in said.out
    assert "promoted" not in said.out


def test_a_promotion_of_what_is_there_already_says_so(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("POST /promotions", {**PASSED, "commit": None, "moves": []})

    assert type_("promote", "sensor", "--to", "prod").lines[-1].endswith("nothing to do")


ROLLBACK: dict[str, Any] = {
    "environment": "prod",
    "release": "2" * 40,
    "commit": "abcdef0" + "0" * 33,
    "moves": [{**MOVE, "previous": "sha-7654321"}],
    "quarantined": [["sensor", "sha256:" + "b" * 64]],
    "skipped": [{"commit": "3" * 40, "reason": "it was degraded there"}],
}


def test_a_rollback_says_what_it_restored_passed_over_and_put_aside(
    platform: CannedPlatform, type_: Callable[..., Any]
) -> None:
    platform.answer("POST /rollbacks", ROLLBACK)
    said = type_("rollback", "prod", "--reason", "it crashes", "--to", "2222222")

    assert said.lines == [
        "passed over 3333333: it was degraded there",
        "restored sensor sha-1234567 (was sha-7654321) in prod",
        "quarantined: sensor sha256:bbbbbbbbbbbb",
        "commit: abcdef0",
    ]
    assert platform.asked[0][2] == {
        "environment": "prod",
        "to": "2222222",
        "reason": "it crashes",
        "dry_run": False,
        "by": getpass.getuser(),
    }


def test_a_rollback_that_is_only_tried_says_would(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("POST /rollbacks", {**ROLLBACK, "commit": None, "skipped": []})
    said = type_("rollback", "prod", "--dry-run")

    assert said.lines[0].startswith("would restore sensor")
    assert said.lines[1].startswith("quarantine: ")
    assert len(said.lines) == 2


@pytest.mark.parametrize(
    ("arguments", "path", "document"),
    [
        (["promote", "sensor", "--to", "prod"], "POST /promotions", PASSED),
        (["rollback", "prod"], "POST /rollbacks", ROLLBACK),
    ],
)
def test_what_was_done_can_be_read_by_a_program(
    platform: CannedPlatform, type_: Callable[..., Any], arguments: list[str], path: str, document: Any
) -> None:
    platform.answer(path, document)

    assert type_(*arguments, "-o", "json").json() == document


def test_a_hold_is_set_with_its_reason_and_its_end(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("POST /holds", {"environment": "prod", "changed": True})
    said = type_("hold", "prod", "--reason", "holiday", "--for", "90")

    request = {"environment": "prod", "reason": "holiday", "seconds": 5400.0, "by": getpass.getuser()}
    assert platform.asked[0][2] == request
    assert "on hold for 90 min" in said.out


@pytest.mark.parametrize(("changed", "text"), [(True, "prod follows Git again\n"), (False, "prod was not on hold\n")])
def test_the_end_of_a_hold_tells_whether_there_was_one(
    platform: CannedPlatform, type_: Callable[..., Any], changed: bool, text: str
) -> None:
    platform.answer("POST /holds", {"environment": "prod", "changed": changed})

    assert type_("hold", "prod", "--release").out == text
    assert platform.asked[0][2] == {"environment": "prod", "release": True}


def test_a_reconciliation_can_be_asked_for(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    platform.answer("POST /reconciliations", {"environment": "dev"})

    assert type_("reconcile", "dev", "--confirm-prune").code == 0
    assert platform.asked[0][2] == {"environment": "dev", "confirm_prune": True}


@pytest.mark.parametrize(
    ("status", "exit_code"), [(500, 1), (400, 2), (409, 3), (404, 4), (409, 5), (502, 6), (500, 7)]
)
def test_an_error_of_the_platform_becomes_text_hint_and_exit_code(
    platform: CannedPlatform, type_: Callable[..., Any], status: int, exit_code: int
) -> None:
    platform.refuse("POST /rollbacks", status=status, exit_code=exit_code, message="it cannot be", hint="do that")
    said = type_("rollback", "prod")

    assert (said.code, said.out) == (exit_code, "")
    assert said.err == "towpath: it cannot be\n  next: do that\n"
