"""How controllers write: under one field manager, a status only when it changed, and only on top of what was read."""

from typing import Any

from towpath.cluster.controllers.informer import Informer, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ports import ObjectWriter
from towpath.kube.objects import Object
from towpath.kube.requests import WriteOptions

FIELD_MANAGER = "kube-controller-manager"
WRITE = WriteOptions(field_manager=FIELD_MANAGER)
WRITE_STATUS = WriteOptions(field_manager=FIELD_MANAGER, subresource="status")


async def write_status(
    client: ObjectWriter, loop: ControlLoop, cache: Informer, obj: Object, status: dict[str, Any]
) -> None:
    """Store `status` if it differs from the one in `obj`, and have the loop wait for its own write.

    Raises:
        ApiConflictError: `obj` is not the latest version; reconcile again.
    """
    if obj.get("status", {}) == status:
        return
    stored = await client.update({**obj, "status": status}, WRITE_STATUS)
    loop.expectations.expect_written(namespaced_name(obj), cache, stored)
