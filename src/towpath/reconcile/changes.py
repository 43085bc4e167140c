"""What a reconciliation does, or would do: one change an object, in the order they are carried out. Pure values."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from towpath.kube.diff import FieldChange
from towpath.kube.objects import GVK, Object, ObjectKey


class Action(StrEnum):
    """What happens to an object; the words of kubectl."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    PRUNED = "pruned"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Change:
    """One object's part of a change set.

    Attributes:
        key: the object.
        gvk: with the version to address it by.
        action: what happens to it.
        wave: when; lower waves first.
        reason: why it is skipped, kept or adopted; empty for the plain cases.
        fields: what differs, Secret data masked; empty for created and pruned objects.
        desired: what is applied, marks included; None when pruned.
        live: what exists; None when created.
        drift: whether the difference was made behind Git's back.
        take_over: whether people own fields that Git does not have, which must become ours to be removed.
    """

    key: ObjectKey
    gvk: GVK
    action: Action
    wave: int = 0
    reason: str = ""
    fields: tuple[FieldChange, ...] = ()
    desired: Object | None = None
    live: Object | None = None
    drift: bool = False
    take_over: bool = False

    @property
    def is_write(self) -> bool:
        """Whether carrying it out writes to the cluster."""
        return self.action in {Action.CREATED, Action.CONFIGURED, Action.PRUNED}


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """All changes of one application, in the order they are carried out."""

    changes: tuple[Change, ...] = ()

    @property
    def writes(self) -> tuple[Change, ...]:
        """The changes that write."""
        return tuple(change for change in self.changes if change.is_write)

    @property
    def applies(self) -> tuple[Change, ...]:
        """The objects to create or configure."""
        return self.only(lambda change: change.action in {Action.CREATED, Action.CONFIGURED})

    @property
    def prunes(self) -> tuple[Change, ...]:
        """The objects to delete."""
        return self.only(lambda change: change.action is Action.PRUNED)

    @property
    def drifted(self) -> tuple[Change, ...]:
        """The differences made behind Git's back."""
        return self.only(lambda change: change.drift)

    @property
    def skipped(self) -> tuple[Change, ...]:
        """The objects left alone, each with its reason."""
        return self.only(lambda change: change.action is Action.SKIPPED)

    def only(self, wanted: Callable[[Change], bool]) -> tuple[Change, ...]:
        """The changes of one sort."""
        return tuple(change for change in self.changes if wanted(change))

    def counts(self) -> dict[Action, int]:
        """How many objects each action concerns; actions without one are left out."""
        counts = {action: sum(change.action is action for change in self.changes) for action in Action}
        return {action: count for action, count in counts.items() if count}

    def summary(self) -> str:
        """`2 created, 1 configured, 9 unchanged`."""
        return ", ".join(f"{count} {action}" for action, count in self.counts().items()) or "no objects"
