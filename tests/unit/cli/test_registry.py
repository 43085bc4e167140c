"""`towpath registry`."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.canned_platform import CannedPlatform

DIGEST = "sha256:0123456789abcdef"
KEPT = {
    "decision": "kept",
    "repository": "home/sensor",
    "digest": DIGEST,
    "tags": ["sha-1111111"],
    "bytes": 3 * 2**20,
    "pushed": "2026-01-31T09:30:00Z",
    "reasons": [
        {"reason": "pinned", "evidence": "named in prod at 1234567"},
        {"reason": "running", "evidence": "Pod prod/sensor-0"},
    ],
    "removal": "",
}
REMOVED = {
    **KEPT,
    "decision": "removed",
    "tags": ["sha-2222222", "sha-3333333"],
    "reasons": [],
    "removal": "pinned, running and needed nowhere, and not among the newest 10; pushed 50d ago",
}
MISSING = {"repository": "home/sensor", "reference": "sha-9999999", "reason": "rollback", "evidence": "release of prod"}
PLAN: dict[str, Any] = {
    "applied": False,
    "freed_bytes": 2**20,
    "removed": 1,
    "kept": 1,
    "blobs": 2,
    "manifests": [KEPT, REMOVED],
    "held_blobs": [],
    "missing": [MISSING],
    "unseen": "",
}
DONE = {**PLAN, "applied": True, "collected": {"manifests": 1, "blobs_bytes": 2**20, "interrupted": ""}}
Type = Callable[..., Any]


def test_a_collection_shows_what_goes_what_stays_and_why_and_asks_for_no_removal(
    platform: CannedPlatform, type_: Type
) -> None:
    platform.answer("GET /registry/collections", PLAN)
    said = type_("registry", "collect")

    assert said.code == 0
    assert "kept       home/sensor   sha-1111111" in said.out
    assert "named in prod at 1234567 (+1 more reasons)" in said.out
    assert "removed    home/sensor   sha-2222222,sha-3333333   sha256:0123456789ab   3.0 MiB   unneeded" in said.out
    assert "missing: home/sensor:sha-9999999 is not here" in said.out
    assert said.lines[-2:] == [
        "would remove 1 manifests and 2 blobs, 1.0 MiB; would keep 1",
        "  next: towpath registry collect --apply",
    ]
    assert [request for request, _, _ in platform.asked] == ["GET /registry/collections"]


def test_all_reasons_are_shown_when_asked_for(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("GET /registry/collections", PLAN)
    said = type_("registry", "collect", "--all")

    assert "running    Pod prod/sensor-0" in said.out
    assert "more reasons" not in said.out


def test_a_collection_that_is_meant_says_what_it_did(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("POST /registry/collections", DONE)
    said = type_("registry", "collect", "--apply")

    assert (said.code, said.lines[-1]) == (0, "removed 1 manifests and 1.0 MiB of blobs; kept 1")


def test_what_may_not_be_seen_is_named_and_accepted_by_an_option(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("GET /registry/collections", {**PLAN, "unseen": "Pod outside of dev"})
    platform.answer("POST /registry/collections", {**DONE, "unseen": "Pod outside of dev"})
    planned = type_("registry", "collect")
    done = type_("registry", "collect", "--apply", "--accept-unseen")
    type_("registry", "collect", "--apply")

    assert "unseen: Pod outside of dev" in planned.out
    assert planned.lines[-1] == "  next: towpath registry collect --apply --accept-unseen"
    assert done.code == 0
    assert [body for request, _, body in platform.asked if request.startswith("POST")] == [
        {"accept_unseen": True},
        {"accept_unseen": False},
    ]


def test_one_that_ended_early_ends_with_5_and_the_reason(platform: CannedPlatform, type_: Type) -> None:
    interrupted = {"manifests": 0, "blobs_bytes": 0, "interrupted": "what is needed has changed"}
    platform.answer("POST /registry/collections", {**DONE, "collected": interrupted})
    said = type_("registry", "collect", "--apply", "-o", "json")

    assert said.code == 5
    assert "what is needed has changed" in said.err
    assert said.json()["collected"] == interrupted


def test_without_evidence_it_ends_with_3_and_nothing_is_removed(platform: CannedPlatform, type_: Type) -> None:
    platform.refuse(
        "POST /registry/collections", status=409, exit_code=3, message="collection was refused (NoEvidence): x"
    )
    said = type_("registry", "collect", "--apply")

    assert (said.code, "NoEvidence" in said.err) == (3, True)


def test_nothing_to_remove_is_said_in_a_line(platform: CannedPlatform, type_: Type) -> None:
    nothing = {**PLAN, "removed": 0, "blobs": 0, "manifests": [], "missing": [], "kept": 0, "held_blobs": [{}, {}]}
    platform.answer("GET /registry/collections", nothing)
    said = type_("registry", "collect")

    assert said.lines == [
        "2 blobs of no manifest stay: pushes may be on their way",
        "nothing to remove; kept 0",
    ]


def test_usage_shows_repositories_the_total_and_the_quotas(platform: CannedPlatform, type_: Type) -> None:
    one = {"repository": "home/sensor", "tags": 2, "manifests": 3, "blobs": 4, "own_bytes": 2048, "shared_bytes": 0}
    usage = {"total_bytes": 4096, "blobs": 4, "quota": {"total": 2**30}, "repositories": [one]}
    platform.answer("GET /registry/usage", usage)
    said = type_("registry", "usage")

    assert "home/sensor   2      3           4       2.0 KiB   0 B" in said.out
    assert said.lines[-2:] == ["4.0 KiB in 4 blobs and their manifests", "quota total: 1.0 GiB"]
    assert type_("registry", "usage", "-o", "json").json() == usage


RUNNING: dict[str, Any] = {
    "running": True,
    "started": "2026-01-31T09:30:00Z",
    "finished": None,
    "checked": 1,
    "checked_bytes": 1024,
    "total_bytes": 2048,
    "damages": [],
}
WELL = {**RUNNING, "running": False, "checked": 2, "checked_bytes": 2048}
AFFECTED = {"repository": "home/sensor", "digest": DIGEST, "tags": ["v1"], "needed": ["pinned: named in prod at 1"]}
DAMAGE = {"digest": DIGEST, "problem": f"blob {DIGEST} is damaged", "repaired_from": "", "affected": [AFFECTED]}


def test_a_scrub_is_waited_for(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("POST /registry/scrubs", {"started": True})
    platform.answer("GET /registry/scrubs", [RUNNING, RUNNING, WELL])
    said = type_("registry", "scrub")

    assert (said.code, said.lines) == (0, ["read 2 blobs, 2.0 KiB; 0 damaged"])
    assert len(platform.asked) == 4


def test_damage_ends_with_7_and_tells_what_is_affected_and_whether_it_is_needed(
    platform: CannedPlatform, type_: Type
) -> None:
    platform.answer("GET /registry/scrubs", {**WELL, "damages": [DAMAGE]})
    said = type_("registry", "scrub", "--last")

    assert said.code == 7
    assert said.lines == [
        f"damaged: blob {DIGEST} is damaged",
        "  affects home/sensor:v1",
        "    needed: pinned: named in prod at 1",
        "read 2 blobs, 2.0 KiB; 1 damaged",
    ]
    assert "push the affected images again" in said.err


def test_repaired_damage_is_told_and_is_no_failure(platform: CannedPlatform, type_: Type) -> None:
    platform.answer("GET /registry/scrubs", {**WELL, "damages": [{**DAMAGE, "repaired_from": "home/sensor"}]})
    said = type_("registry", "scrub", "--last")

    assert (said.code, said.lines[0].startswith("repaired from the upstream of home/sensor: ")) == (0, True)


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"running": False, "damages": []}, "no scrub yet"),
        (RUNNING, "going on: 1.0 KiB of 2.0 KiB"),
    ],
)
def test_the_last_scrub_may_be_none_or_still_going_on(
    platform: CannedPlatform, type_: Type, document: Any, line: str
) -> None:
    platform.answer("GET /registry/scrubs", document)

    assert type_("registry", "scrub", "--last").lines == [line]
