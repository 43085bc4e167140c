"""Which objects belong to a controller: owner references and selectors. Pure; `adoption` carries claims out.

An object controlled by another owner is never touched. An orphan is adopted when the selector matches it; an owned
object that stopped matching is released.
"""

from dataclasses import dataclass
from typing import Any

from towpath.kube.objects import Object, controller_of, labels_of, metadata_of, name_of, uid_of
from towpath.kube.selectors import LabelSelector


def prepare_owner_reference(owner: Object) -> dict[str, Any]:
    """The reference that makes `owner` the controller of what carries it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_terminating(obj: Object) -> bool:
    """Whether deletion has been asked for."""
    return "deletionTimestamp" in metadata_of(obj)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Whether `owner`, and not a namesake, controls the object."""
    reference = controller_of(obj)
    return reference is not None and reference.uid == uid_of(owner)


def selector_of(owner: Object) -> LabelSelector | None:
    """The owner's `spec.selector`, or None when it selects nothing on purpose (missing or empty)."""
    selector = owner.get("spec", {}).get("selector")
    return LabelSelector.of(selector) if selector else None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a pass over the candidates found."""

    owned: list[Object]
    to_adopt: list[Object]
    to_release: list[Object]


def plan_claims(owner: Object, candidates: list[Object]) -> Claims:
    """Sort candidates into owned, to be adopted, and to be released. A terminating owner only keeps what matches."""
    selector = selector_of(owner)
    claims = Claims([], [], [])
    for candidate in candidates:
        matches = selector is not None and selector.matches(labels_of(candidate))
        if is_controlled_by(candidate, owner):
            (claims.owned if matches else claims.to_release).append(candidate)
        elif controller_of(candidate) is None and matches and not is_terminating(candidate):
            claims.to_adopt.append(candidate)
    if is_terminating(owner):
        return Claims(claims.owned, [], [])
    return claims
