"""Desired objects + live objects -> change set. Pure: what the API server would make of each object is an argument.

The rules:
 1. objects that somebody else manages, or that ask to be left alone, are skipped and say why;
 2. what does not exist is created; what the API server would change, or people have added to, is configured; the rest
    is unchanged;
 3. a difference in an object whose last applied content is the desired one was made behind Git's back: drift;
 4. what the inventory names and Git does not is pruned, if it still carries our mark and does not opt out;
 5. lower waves first, in a wave by kind (what others need comes first); pruning runs last and in reverse.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from towpath.kube.diff import diff
from towpath.kube.objects import GVK, Object, ObjectKey, gvk_of, key_of, metadata_of
from towpath.reconcile.changes import Action, Change, ChangeSet
from towpath.reconcile.marks import (
    find_other_owner,
    has_applied,
    is_tracked,
    opts_out_of_prune,
    opts_out_of_reconcile,
    wave_of,
)
from towpath.reconcile.takeover import find_additions

KIND_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "DaemonSet",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "Pod",
    "Job",
    "CronJob",
    "Ingress",
)
_RANKS = {kind: rank for rank, kind in enumerate(KIND_ORDER)}


def plan(
    desired: Sequence[Object],
    live: Mapping[ObjectKey, Object],
    *,
    application: str,
    previews: Mapping[ObjectKey, Object],
    inventory: Mapping[ObjectKey, GVK],
    keep: Collection[ObjectKey] = (),
) -> ChangeSet:
    """What must happen so that the live objects are the desired ones.

    Args:
        desired: the marked objects of one application.
        live: those of them, and of the inventory, that exist.
        application: `<platform>/<environment>`, as in the tracking id.
        previews: what the API server would make of each desired object that exists (a dry-run apply).
        inventory: what this application has applied before.
        keep: objects that Git still wants though they are not among the desired ones.
    """
    applies = [
        _plan_apply(obj, live.get(key_of(obj)), previews.get(key_of(obj)), application)
        for obj in sorted(desired, key=_apply_order)
    ]
    wanted = {key_of(obj) for obj in desired}
    gone = sorted((key for key in inventory if key not in wanted and key in live), key=_kind_order, reverse=True)
    prunes = [_plan_prune(live[key], inventory[key], application, kept=key in keep) for key in gone]
    return ChangeSet((*applies, *prunes))


def waves_of(changes: Iterable[Change]) -> list[tuple[Change, ...]]:
    """The changes wave by wave, lowest first."""
    changes = tuple(changes)
    numbers = sorted({change.wave for change in changes})
    return [tuple(change for change in changes if change.wave == number) for number in numbers]


def _plan_apply(desired: Object, live: Object | None, preview: Object | None, application: str) -> Change:
    key, gvk, wave = key_of(desired), gvk_of(desired), wave_of(desired)
    if opts_out_of_reconcile(desired, live):
        return Change(key, gvk, Action.SKIPPED, wave, "reconcile is disabled by annotation", desired=desired, live=live)
    if live is None:
        return Change(key, gvk, Action.CREATED, wave, desired=desired)
    owner = find_other_owner(live, application)
    if owner is not None:
        return Change(key, gvk, Action.SKIPPED, wave, f"managed by {owner}", desired=desired, live=live)
    if "deletionTimestamp" in metadata_of(live):
        # Applying to a dying object is lost work; its deletion event brings the next plan, which creates it.
        return Change(key, gvk, Action.SKIPPED, wave, "waiting for its deletion", desired=desired, live=live)
    additions = find_additions(live, desired)
    fields = (*diff(live, preview), *additions) if preview is not None else ()
    if preview is not None and not fields:
        return Change(key, gvk, Action.UNCHANGED, wave, desired=desired, live=live)
    tracked = is_tracked(live, application)
    return Change(
        key,
        gvk,
        Action.CONFIGURED,
        wave,
        "" if tracked else "adopted: it existed before",
        fields=fields,
        desired=desired,
        live=live,
        drift=bool(fields) and tracked and has_applied(live, desired),
        take_over=bool(additions),
    )


def _plan_prune(live: Object, gvk: GVK, application: str, *, kept: bool) -> Change:
    key = key_of(live)
    reason = ""
    if kept:
        reason = "kept: its service is not promoted"
    elif not is_tracked(live, application):
        owner = find_other_owner(live, application)
        reason = f"kept: managed by {owner}" if owner else "kept: it no longer carries Towpath's mark"
    elif opts_out_of_prune(live):
        reason = "kept: pruning is disabled by annotation"
    elif "deletionTimestamp" in metadata_of(live):
        reason = "waiting for its deletion"
    return Change(key, gvk, Action.SKIPPED if reason else Action.PRUNED, wave_of(live), reason, live=live)


def _apply_order(obj: Object) -> tuple[int, int, str, str, str]:
    return (wave_of(obj), *_kind_order(key_of(obj)))


def _kind_order(key: ObjectKey) -> tuple[int, str, str, str]:
    # Unknown kinds come last: custom resources need what stands in the table.
    return (_RANKS.get(key.kind, len(_RANKS)), key.kind, key.namespace, key.name)
