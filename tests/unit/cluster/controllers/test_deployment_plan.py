"""The arithmetic of rollouts: upstream's tables, and what must hold whatever happens."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towpath.cluster.controllers.deployment_plan import (
    Bounds,
    SetSize,
    plan_new,
    plan_old,
    plan_scaling,
    resolve_share,
)


def sized(name: str, replicas: int, available: int | None = None, *, created: float = 0.0, largest: int = 0) -> SetSize:
    ready = replicas if available is None else available
    return SetSize(name=name, created=created, replicas=replicas, available=ready, largest=largest)


def bounds_of(replicas: int, **rolling: Any) -> Bounds:
    return Bounds.of({"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}})


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [(3, 10, 3, 3), ("25%", 10, 3, 2), ("25%", 4, 1, 1), ("0%", 10, 0, 0), ("100%", 7, 7, 7), ("1%", 1, 1, 0)],
)
def test_a_share_is_rounded_up_for_surge_and_down_for_unavailability(
    value: int | str, total: int, up: int, down: int
) -> None:
    assert resolve_share(value, total, round_up=True) == up
    assert resolve_share(value, total, round_up=False) == down


def test_bounds_have_upstreams_defaults() -> None:
    assert Bounds.of({"spec": {"replicas": 10}}) == Bounds(10, 3, 2)
    assert Bounds.of({"spec": {}}) == Bounds(1, 1, 0)


def test_bounds_that_allow_no_step_allow_one_pod_to_be_missing() -> None:
    assert bounds_of(4, maxSurge=0, maxUnavailable=0) == Bounds(4, 0, 1)


def test_no_more_may_be_missing_than_there_are() -> None:
    assert bounds_of(2, maxSurge=0, maxUnavailable=5) == Bounds(2, 0, 2)


def test_recreate_has_no_bounds_to_keep() -> None:
    assert Bounds.of({"spec": {"replicas": 3, "strategy": {"type": "Recreate"}}}) == Bounds(3, 0, 0)


# Upstream's TestNewRSNewReplicas and TestDeploymentController_reconcileNewReplicaSet.
@pytest.mark.parametrize(
    ("replicas", "surge", "new", "old", "expected"),
    [
        (10, 0, 0, 10, 0),  # no room
        (10, 2, 0, 10, 2),  # as far as the surge goes
        (10, 2, 0, 5, 7),  # room left by the old set
        (10, 2, 10, 0, 10),  # at rest
        (10, 2, 12, 0, 10),  # too large: shrink
        (1, 1, 0, 5, 0),  # the old set alone exceeds everything
    ],
)
def test_the_new_set_grows_into_the_room_there_is(replicas: int, surge: int, new: int, old: int, expected: int) -> None:
    assert plan_new(Bounds(replicas, surge, 0), sized("new", new), [sized("old", old)]) == expected


# Upstream's TestDeploymentController_reconcileOldReplicaSets.
@pytest.mark.parametrize(
    ("unavailable", "new", "old", "expected"),
    [
        (0, (0, 0), (10, 10), 10),  # nothing to spare
        (2, (0, 0), (10, 10), 8),  # as far as may be missing
        (2, (0, 0), (10, 8), 8),  # unhealthy old pods go, working ones stay
        (2, (2, 0), (10, 8), 8),  # new pods that are not ready are no replacement
        (0, (2, 2), (10, 10), 8),  # new pods that are ready are
    ],
)
def test_old_sets_shrink_as_far_as_availability_allows(
    unavailable: int, new: tuple[int, int], old: tuple[int, int], expected: int
) -> None:
    plan = plan_old(Bounds(10, 2, unavailable), sized("new", *new), [sized("old", *old)])
    assert plan.get("old", old[0]) == expected


def test_the_oldest_set_shrinks_first_and_broken_pods_before_all() -> None:
    old = [sized("elder", 3, created=1), sized("broken", 2, 0, created=2), sized("younger", 3, created=3)]
    assert plan_old(Bounds(8, 2, 3), sized("new", 0), old) == {"elder": 2, "broken": 0}


def test_a_set_that_still_reports_pods_it_is_losing_counts_for_its_size() -> None:
    old = [sized("shrunk", 2, 5, created=1), sized("other", 4, 4, created=2)]
    assert plan_old(Bounds(6, 2, 1), sized("new", 0), old) == {"shrunk": 1}


def test_scaling_at_rest_changes_the_only_set() -> None:
    assert plan_scaling(Bounds(5, 2, 1), sized("new", 3), [], rolling=True) == {"new": 5}
    assert plan_scaling(Bounds(3, 1, 0), sized("new", 3), [], rolling=True) == {}


def test_scaling_from_zero_grows_the_new_set_or_else_the_latest() -> None:
    old = [sized("first", 0, created=1), sized("second", 0, created=2)]
    assert plan_scaling(Bounds(4, 1, 1), sized("new", 0), old, rolling=True) == {"new": 4}
    assert plan_scaling(Bounds(4, 1, 1), None, old, rolling=True) == {"second": 4}
    assert plan_scaling(Bounds(4, 1, 1), None, [], rolling=True) == {}


def test_scaling_after_the_new_set_is_complete_ends_the_old_ones() -> None:
    new, old = sized("new", 4, largest=5), [sized("old", 1)]
    assert plan_scaling(Bounds(4, 1, 1), new, old, rolling=True) == {"old": 0}


def test_scaling_never_moves_a_recreate_on() -> None:
    assert plan_scaling(Bounds(9, 0, 0), sized("new", 2), [sized("old", 2)], rolling=False) == {}


# Upstream's TestScale: the sets before, what is asked for, the sets after (new first, all without surge).
@pytest.mark.parametrize(
    ("before", "replicas", "after"),
    [
        ((5, 5), 12, (6, 6)),
        ((5, 5), 8, (4, 4)),
        ((2, 8), 15, (3, 12)),
        ((8, 2), 15, (12, 3)),
        ((5, 5), 0, (0, 0)),
        ((1, 9), 5, (1, 4)),
    ],
)
def test_scaling_keeps_the_proportions_of_a_rollout(
    before: tuple[int, int], replicas: int, after: tuple[int, int]
) -> None:
    total = sum(before)
    new = sized("new", before[0], 0, created=2, largest=total)
    old = [sized("old", before[1], created=1, largest=total)]
    plan = plan_scaling(Bounds(replicas, 0, 0), new, old, rolling=True)
    assert (plan.get("new", before[0]), plan.get("old", before[1])) == after


small = st.integers(0, 6)
shares = st.one_of(st.integers(0, 4), st.sampled_from(["0%", "25%", "50%", "100%"]))


@settings(max_examples=300, deadline=None)
@given(replicas=st.integers(1, 8), surge=shares, unavailable=shares, data=st.data())
def test_any_rollout_keeps_its_bounds_and_ends(
    replicas: int, surge: int | str, unavailable: int | str, data: st.DataObject
) -> None:
    bounds = bounds_of(replicas, maxSurge=surge, maxUnavailable=unavailable)
    new, old = sized("new", 0), sized("old", replicas)
    for step in range(200):
        size = plan_new(bounds, new, [old])
        if size != new.replicas:
            new = replace(new, replicas=size)
        else:
            shrunk = plan_old(bounds, new, [old]).get("old", old.replicas)
            old = replace(old, replicas=shrunk, available=min(old.available, shrunk))
        assert new.replicas + old.replicas <= bounds.largest
        assert new.available + old.available >= bounds.min_available
        # New pods become ready whenever they like, at the latest in the end.
        left = new.replicas - new.available
        ready = left if step > 100 else data.draw(st.integers(0, left))
        new = replace(new, available=new.available + ready)
        if new.available == replicas and old.replicas == 0:
            return
    raise AssertionError((bounds, new, old))


@settings(max_examples=300, deadline=None)
@given(sizes=st.lists(small, min_size=2, max_size=5), replicas=st.integers(0, 12), surge=small)
def test_scaling_reaches_what_is_allowed_and_never_passes_it(sizes: list[int], replicas: int, surge: int) -> None:
    before = sum(sizes)
    sets = [sized(f"set-{age}", size, 0, created=age, largest=before) for age, size in enumerate(sizes)]
    plan = plan_scaling(Bounds(replicas, surge, 0), sets[-1], sets[:-1], rolling=True)
    after = [plan.get(one.name, one.replicas) for one in sets]
    assert min(after) >= 0
    if sum(size > 0 for size in sizes) > 1:
        allowed = replicas + surge if replicas else 0
        assert allowed <= sum(after) <= max(before, allowed)
