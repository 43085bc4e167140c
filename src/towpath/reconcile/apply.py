"""Carries out the applying half of a change set: server-side apply, field manager `towpath`, in order.

Fields that somebody else took are taken back (`force`); who owned them stands in the change's drift. One object that
fails does not keep the others of its wave waiting, but all failures are raised together at its end, so that the next
wave does not start and the caller tries again.
"""

from collections.abc import Iterable

from towpath.kube.errors import ApiConflictError, ApiError
from towpath.kube.objects import Object, gvk_of, key_of, name_of, namespace_of, resource_version_of
from towpath.kube.requests import Patch, PatchType, WriteOptions
from towpath.reconcile.changes import Change
from towpath.reconcile.marks import FIELD_MANAGER
from towpath.reconcile.ports import ResourceClient
from towpath.reconcile.refusals import ApplyError, Refusal, explain_refusal
from towpath.reconcile.takeover import take_over

# A rollout writes its status several times a second; each attempt reads anew.
TAKE_OVER_ATTEMPTS = 5


async def apply_changes(client: ResourceClient, changes: Iterable[Change]) -> list[Object]:
    """Apply the desired objects of `changes`, one after the other; the stored objects come back.

    Raises:
        ApplyError: some were refused; the others are applied.
    """
    options = WriteOptions(field_manager=FIELD_MANAGER, force=True)
    applied: list[Object] = []
    refusals: list[Refusal] = []
    for change in changes:
        if change.desired is None:
            continue
        try:
            if change.take_over and change.live is not None:
                await _take_over(client, change.live)
            applied.append(await client.apply(change.desired, options))
        except ApiError as error:
            refusals.append(explain_refusal(key_of(change.desired), error))
    if refusals:
        raise ApplyError(refusals)
    return applied


async def _take_over(client: ResourceClient, live: Object) -> None:
    options = WriteOptions(field_manager=FIELD_MANAGER)
    gvk, name, namespace = gvk_of(live), name_of(live), namespace_of(live)
    for attempt in range(TAKE_OVER_ATTEMPTS):
        # The resource version makes this fail if anybody, be it a controller's status, has written in between.
        metadata = {"resourceVersion": resource_version_of(live), "managedFields": take_over(live)}
        try:
            await client.patch(gvk, name, namespace, Patch(PatchType.MERGE, {"metadata": metadata}), options)
        except ApiConflictError:
            if attempt == TAKE_OVER_ATTEMPTS - 1:
                raise
            live = await client.get(gvk, name, namespace)
        else:
            return
