"""What `doctor` says of who may use the registry."""

from typing import Any

import pytest

from fakes.clock import START
from towpath.registry.robots import Robot
from towpath.server.accesschecks import DAY, judge_certificate, judge_pull_secrets, judge_robots


def robot(name: str, days: float | None) -> Robot:
    return Robot(name, (), START - DAY, None if days is None else START + days * DAY, ())


def test_robots_at_their_end_are_named() -> None:
    checks = judge_robots([robot("a", None), robot("b", 8), robot("c", 6), robot("d", 0)], now=START)
    assert [(check.state, check.evidence) for check in checks] == [
        ("warning", "robot c expires at 2026-02-06T09:30:00Z"),
        ("warning", "robot d expired at 2026-01-31T09:30:00Z"),
    ]
    assert "towpath robot revoke d" in checks[1].next
    (fine,) = judge_robots([robot("a", None), robot("b", 8)], now=START)
    assert (fine.state, fine.evidence) == ("ok", "2 robots, none near its end")


def secret(state: str, age: float, *waiting: str) -> dict[str, Any]:
    return {"environment": "prod", "state": state, "age_seconds": age, "waiting": list(waiting)}


@pytest.mark.parametrize(
    ("described", "state"),
    [
        (secret("distributing", 601, "prod"), "warning"),
        (secret("distributing", 601), "warning"),
        (secret("distributing", 599, "prod"), "ok"),
        (secret("overlapping", 601), "ok"),
        (secret("current", 1e9), "ok"),
    ],
)
def test_a_secret_that_does_not_arrive_is_told_after_a_while(described: dict[str, Any], state: str) -> None:
    (check,) = judge_pull_secrets([described])
    assert check.state == state
    assert ("the old one stays valid" in check.evidence) is (state == "warning")


@pytest.mark.parametrize(("days", "state"), [(15, "ok"), (13, "warning"), (0, "problem"), (-1, "problem")])
def test_a_certificate_is_told_before_and_after_its_end(days: float, state: str) -> None:
    check = judge_certificate(START + days * DAY, now=START, own=True)
    assert check.state == state
    assert judge_certificate(START, now=START, own=False).next.startswith("renew it")
