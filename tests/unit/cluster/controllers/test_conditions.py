"""Conditions: what moves their times, and what leaves them alone."""

from towpath.cluster.controllers.conditions import (
    Condition,
    find_condition,
    is_true,
    remove_condition,
    set_condition,
)

READY = Condition("Ready", "True", "AllIsWell", "all is well")
WORSE = Condition("Ready", "False", "NotSoWell", "not so well")
SAME_STATUS = Condition("Ready", "True", "StillWell", "still well")


def test_a_new_condition_is_added_with_its_time() -> None:
    assert set_condition([], READY, now=0.0) == [
        {
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
            "reason": "AllIsWell",
            "message": "all is well",
        }
    ]


def test_saying_the_same_again_changes_nothing() -> None:
    said = set_condition([], READY, now=0.0, stamp_updates=True)
    assert set_condition(said, READY, now=60.0, stamp_updates=True) is said


def test_another_reason_updates_but_is_no_transition() -> None:
    said = set_condition([], READY, now=0.0, stamp_updates=True)
    (condition,) = set_condition(said, SAME_STATUS, now=60.0, stamp_updates=True)
    assert (condition["reason"], condition["message"]) == ("StillWell", "still well")
    assert condition["lastTransitionTime"] == "1970-01-01T00:00:00Z"
    assert condition["lastUpdateTime"] == "1970-01-01T00:01:00Z"


def test_another_status_is_a_transition() -> None:
    said = set_condition([], READY, now=0.0)
    (condition,) = set_condition(said, WORSE, now=60.0)
    assert (condition["status"], condition["lastTransitionTime"]) == ("False", "1970-01-01T00:01:00Z")


def test_renewing_moves_the_update_time_alone() -> None:
    said = set_condition([], READY, now=0.0, stamp_updates=True)
    (condition,) = set_condition(said, READY, now=60.0, stamp_updates=True, renew=True)
    assert condition["lastTransitionTime"] == "1970-01-01T00:00:00Z"
    assert condition["lastUpdateTime"] == "1970-01-01T00:01:00Z"


def test_the_others_keep_their_places() -> None:
    conditions = [{"type": "A", "status": "True"}, {"type": "Ready", "status": "True"}, {"type": "B", "status": "True"}]
    changed = set_condition(conditions, WORSE, now=0.0)
    assert [one["type"] for one in changed] == ["A", "Ready", "B"]
    assert [one["type"] for one in remove_condition(changed, "Ready")] == ["A", "B"]


def test_a_condition_that_is_unknown_or_missing_is_not_true() -> None:
    conditions = [{"type": "Ready", "status": "Unknown"}]
    assert not is_true(conditions, "Ready")
    assert not is_true(conditions, "Available")
    assert find_condition(conditions, "Available") is None
