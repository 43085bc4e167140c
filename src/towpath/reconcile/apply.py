"""Carries out the applying half of a change set: server-side apply, field manager `towpath`, in order.

Fields that somebody else took are taken back (`force`); who owned them stands in the change's drift. One object that
fails does not keep the others of its wave waiting, but all failures are raised together at its end, so that the next
wave does not start and the caller tries again.
"""

from collections.abc import Iterable

from towpath.kube.errors import ApiError
from towpath.kube.objects import Object, key_of
from towpath.kube.requests import WriteOptions
from towpath.reconcile.changes import Change
from towpath.reconcile.marks import FIELD_MANAGER
from towpath.reconcile.ports import ResourceWriter
from towpath.reconcile.refusals import ApplyError, Refusal, explain_refusal


async def apply_changes(writer: ResourceWriter, changes: Iterable[Change]) -> list[Object]:
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
            applied.append(await writer.apply(change.desired, options))
        except ApiError as error:
            refusals.append(explain_refusal(key_of(change.desired), error))
    if refusals:
        raise ApplyError(refusals)
    return applied
