"""Deletes what Git no longer names, behind three guards.

1. An application that renders to nothing is a mistake until somebody says otherwise: nothing is pruned.
2. More deletions than the budget allows, or of an object whose deletion loses data, need a confirmation: a trailer
   `Towpath-Prune: <environment>` on the commit, or a person's command.
3. Only objects that carry our mark are deleted, and only the very ones that were looked at (by uid).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from towpath.errors import RefusedError
from towpath.kube.errors import ApiConflictError, ApiError, ApiNotFoundError
from towpath.kube.objects import GVK, ObjectKey, uid_of
from towpath.kube.requests import DeleteOptions, Propagation
from towpath.reconcile.changes import Change, ChangeSet
from towpath.reconcile.refusals import ApplyError, Refusal, explain_refusal

# Their deletion takes along what no commit brings back.
PRECIOUS_KINDS = frozenset({"Namespace", "PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition"})
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PruneBudget:
    """How many objects one commit may delete without a confirmation.

    `few` always pass (a service more or less is daily work); beyond, both `most` and `percent` of the inventory hold.
    """

    few: int = 6
    most: int = 20
    percent: int = 50

    def allows(self, count: int, *, of: int) -> bool:
        """Whether `count` deletions from an inventory of `of` objects need no confirmation."""
        return count <= self.few or (count <= self.most and count * 100 <= self.percent * of)


class Deleter(Protocol):
    """What pruning needs of the cluster."""

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """Ask for deletion. Raises ApiNotFoundError, ApiConflictError when the uid is another."""
        ...


class PruneRefusedError(RefusedError):
    """A guard stopped the deletion; the rest of the change set is not affected."""


def check_prune(
    change_set: ChangeSet, inventory: Mapping[ObjectKey, GVK], *, environment: str, budget: PruneBudget
) -> None:
    """Raise PruneRefusedError if these deletions need a confirmation."""
    prunes = change_set.prunes
    if not prunes:
        return
    hint = (
        f"if this is meant: `towpath reconcile {environment} --confirm-prune`, or add the trailer "
        f"`Towpath-Prune: {environment}` to the commit"
    )
    if all(change.desired is None for change in change_set.changes):
        raise PruneRefusedError(
            f"application {environment} was not pruned (EmptyRender): the overlay renders to no objects, "
            f"{len(prunes)} would be deleted",
            hint=hint,
        )
    precious = [change for change in prunes if change.key.kind in PRECIOUS_KINDS]
    if precious:
        raise PruneRefusedError(
            f"application {environment} was not pruned (DataLoss): {_names(precious)} would be deleted", hint=hint
        )
    if not budget.allows(len(prunes), of=len(inventory)):
        raise PruneRefusedError(
            f"application {environment} was not pruned (OverBudget): {len(prunes)} of {len(inventory)} objects would "
            f"be deleted: {_names(prunes)}",
            hint=hint,
        )


async def prune(writer: Deleter, changes: Iterable[Change]) -> list[ObjectKey]:
    """Delete the live objects of `changes`, in order; the keys of those that are deleted or gone come back.

    Raises:
        ApplyError: some could not be deleted; the others are.
    """
    gone: list[ObjectKey] = []
    refusals: list[Refusal] = []
    for change in changes:
        options = DeleteOptions(propagation=Propagation.BACKGROUND, uid=uid_of(change.live or {}))
        try:
            await writer.delete(change.gvk, change.key.name, change.key.namespace, options)
        except (ApiNotFoundError, ApiConflictError):
            gone.append(change.key)  # another object may have the name already; the next plan looks at it
        except ApiError as error:
            refusals.append(explain_refusal(change.key, error))
        else:
            gone.append(change.key)
    if refusals:
        raise ApplyError(refusals)
    return gone


def _names(changes: Iterable[Change]) -> str:
    names = [str(change.key) for change in changes]
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
