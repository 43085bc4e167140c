"""The arithmetic of a Deployment: how large its ReplicaSets should be next. Pure; rules and rounding are upstream's.

    plan_new       grow (or shrink) the new set, within replicas + maxSurge
    plan_old       shrink old sets, never below replicas - maxUnavailable available pods
    plan_scaling   spread a change of `spec.replicas` over the sets of a paused or unfinished rollout

Sizes are decided from what is asked of each set and what it reports available; a plan names only the sets that change.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from towpath.cluster.controllers.replicaset_plan import wanted_replicas
from towpath.kube.objects import Object, find_path

Sizes: TypeAlias = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSize:
    """One ReplicaSet in numbers.

    `created` orders sets by age; `largest` is what its Deployment's replicas + surge were when it was last scaled (0:
    unknown), which proportional scaling needs.
    """

    name: str
    created: float = 0.0
    replicas: int
    available: int = 0
    largest: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a Deployment asks for, with percentages resolved."""

    replicas: int
    max_surge: int
    max_unavailable: int

    @classmethod
    def of(cls, deployment: Object) -> "Bounds":
        """From the spec. Surge rounds up, unavailability down; both zero would never move, so one may be missing."""
        replicas = wanted_replicas(deployment)
        if find_path(deployment, "spec", "strategy", "type") == "Recreate":
            return cls(replicas, 0, 0)
        strategy = find_path(deployment, "spec", "strategy", "rollingUpdate") or {}
        surge = resolve_share(strategy.get("maxSurge", "25%"), replicas, round_up=True)
        unavailable = resolve_share(strategy.get("maxUnavailable", "25%"), replicas, round_up=False)
        if surge == 0 and unavailable == 0:
            unavailable = 1
        return cls(replicas, surge, min(unavailable, replicas))

    @property
    def largest(self) -> int:
        """The most pods that may exist at a time."""
        return self.replicas + self.max_surge

    @property
    def min_available(self) -> int:
        """The fewest pods that must be available."""
        return self.replicas - self.max_unavailable


def resolve_share(value: int | str, total: int, *, round_up: bool) -> int:
    """An IntOrString of Kubernetes: a number, or a percentage of `total`."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * total
    return -(-share // 100) if round_up else share // 100


def plan_new(bounds: Bounds, new: SetSize, old: Sequence[SetSize]) -> int:
    """The next size of the new set during a rolling update."""
    if new.replicas >= bounds.replicas:
        return bounds.replicas
    room = bounds.largest - new.replicas - sum(one.replicas for one in old)
    return new.replicas + max(0, min(room, bounds.replicas - new.replicas))


def plan_old(bounds: Bounds, new: SetSize, old: Sequence[SetSize]) -> Sizes:
    """The old sets that shrink during a rolling update, with their next sizes."""
    sizes = {one.name: one.replicas for one in old}
    total = new.replicas + sum(sizes.values())
    # New pods that are not available yet count as missing, so that a bad new version stops the update.
    spare = total - bounds.min_available - (new.replicas - new.available)
    if spare <= 0 or not any(sizes.values()):
        return {}
    by_age = sorted(old, key=lambda one: (one.created, one.name))
    # 1. Old pods that do not work serve nobody: they go first.
    for one in by_age:
        gone = max(0, min(spare, sizes[one.name] - one.available))
        sizes[one.name] -= gone
        spare -= gone
    # 2. Working old pods go as far as enough others are available.
    # A set that was just shrunk still reports the pods it is losing: its size bounds what it will have.
    available = sum(min(one.available, one.replicas) for one in (new, *old))
    surplus = available - bounds.min_available
    for one in by_age:
        gone = max(0, min(surplus, sizes[one.name]))
        sizes[one.name] -= gone
        surplus -= gone
    return {one.name: sizes[one.name] for one in old if sizes[one.name] != one.replicas}


def plan_scaling(bounds: Bounds, new: SetSize | None, old: Sequence[SetSize], *, rolling: bool) -> Sizes:
    """The sets that change size because `spec.replicas` changed, with their next sizes.

    A rollout under way keeps its proportions, so that a bad new version does not gain share by scaling.
    """
    everything = [*old, *([new] if new is not None else [])]
    active = [one for one in everything if one.replicas > 0]
    if len(active) <= 1:
        only = active[0] if active else new or max(old, key=lambda one: (one.created, one.name), default=None)
        return {only.name: bounds.replicas} if only is not None and only.replicas != bounds.replicas else {}
    if new is not None and new.replicas == bounds.replicas == new.available and new.largest == bounds.largest:
        return {one.name: 0 for one in old if one.replicas > 0}
    return _spread(bounds, active) if rolling else {}


def _spread(bounds: Bounds, active: Sequence[SetSize]) -> Sizes:
    allowed = bounds.largest if bounds.replicas > 0 else 0
    change = allowed - sum(one.replicas for one in active)
    # Largest first; among equals, growth favours the newer set and shrinking the older.
    newer_first = -1 if change > 0 else 1
    ordered = sorted(active, key=lambda one: (-one.replicas, newer_first * one.created, one.name))
    sizes, spread = {}, 0
    for one in ordered:
        share = _proportion(bounds, one, change, change - spread)
        sizes[one.name] = one.replicas + share
        spread += share
    if ordered and change:
        sizes[ordered[0].name] = max(0, sizes[ordered[0].name] + change - spread)  # what rounding left over
    return {one.name: sizes[one.name] for one in active if sizes[one.name] != one.replicas}


def _proportion(bounds: Bounds, one: SetSize, change: int, left: int) -> int:
    if change == 0 or left == 0:
        return 0
    if bounds.replicas == 0:
        share = -one.replicas
    else:
        # Half away from zero, as Go's math.Round; the size is never negative.
        share = math.floor(one.replicas * bounds.largest / (one.largest or bounds.largest) + 0.5) - one.replicas
    return min(share, left) if change > 0 else max(share, left)
