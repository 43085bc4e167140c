"""`towpath secrets`: the pull secrets of environments."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.canned_platform import CannedPlatform

Type = Callable[..., Any]
OLD = {"id": "1", "created": "T", "expires": "2026-01-31T09:45:00Z", "last_used": None}
NEW = {"id": "2", "created": "T", "expires": None, "last_used": None}


def secret(environment: str, state: str) -> dict[str, Any]:
    return {
        "environment": environment,
        "account": f"pull-{environment}",
        "repositories": ["home/clock", "home/lamp"],
        "namespaces": [environment],
        "waiting": [environment] if state == "distributing" else [],
        "state": state,
        "age_seconds": 7200.0,
        "last_used": "2026-01-31T09:30:00Z",
        "secrets": [NEW, OLD] if state == "overlapping" else [NEW],
    }


def test_a_list_shows_age_use_and_what_is_open(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("GET /secrets", {"secrets": [secret("dev", "current")]})
    row = type_("secrets", "list").lines[1].split()
    assert row == ["dev", "pull-dev", "2h", "current", "2026-01-31T09:30:00Z", "dev", "home/clock,home/lamp"]
    assert type_("secrets", "list", "-o", "json").json() == {"secrets": [secret("dev", "current")]}
    platform.answer("GET /secrets", {"secrets": []})
    assert "no environment yet" in type_("secrets", "list").out


def test_a_rotation_waits_until_every_namespace_has_the_new_one(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("POST /secrets/rotations", {"environments": ["dev", "prod"]})
    platform.answer(
        "GET /secrets",
        [
            {"secrets": [secret("dev", "distributing"), secret("prod", "distributing")]},
            {"secrets": [secret("dev", "overlapping"), secret("prod", "distributing")]},
            {"secrets": [secret("dev", "overlapping"), secret("prod", "overlapping")]},
        ],
    )
    said = type_("secrets", "rotate")
    assert said.code == 0
    assert said.lines == [
        f"{name}: the new pull secret is in {name}; the old one ends at 2026-01-31T09:45:00Z"
        for name in ("dev", "prod")
    ]
    assert platform.asked[0] == ("POST /secrets/rotations", {}, {"environment": ""})


def test_a_rotation_that_does_not_arrive_says_what_to_look_at(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("POST /secrets/rotations", {"environments": ["dev"]})
    platform.answer("GET /secrets", {"secrets": [secret("dev", "distributing")]})
    said = type_("secrets", "rotate", "dev", "--wait", "1s")
    assert said.code == 6
    assert "the old ones stay valid" in said.err
    assert platform.asked[0][2] == {"environment": "dev"}


def test_a_rotation_need_not_be_waited_for(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("POST /secrets/rotations", {"environments": ["dev"]})
    said = type_("secrets", "rotate", "dev", "--wait", "0s")
    assert (said.code, len(platform.asked)) == (0, 1)
    assert "on its way" in said.out


@pytest.mark.parametrize(("code", "status"), [(4, 404), (2, 400)])
def test_a_refusal_is_passed_on(platform: CannedPlatform, type_: Type, code: int, status: int) -> None:
    platform.refuse("POST /secrets/rotations", status=status, exit_code=code, message="environment qa has none")
    assert type_("secrets", "rotate", "qa").code == code
