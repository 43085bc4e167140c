"""Kubernetes events about what the reconciler did, for `kubectl describe` and `towpath events`.

An event that cannot be written is logged and forgotten: telling must never stop doing.
"""

import logging
from collections.abc import Callable

from towpath.aio.clock import Clock, format_rfc3339
from towpath.kube.errors import ApiError
from towpath.kube.objects import GVK, ObjectKey
from towpath.kube.requests import WriteOptions
from towpath.reconcile.marks import FIELD_MANAGER
from towpath.reconcile.ports import ResourceWriter

log = logging.getLogger(__name__)
# The API's own limit for an event's note.
_MESSAGE_LIMIT = 1024
NORMAL, WARNING = "Normal", "Warning"


class Events:
    """Writes events."""

    def __init__(self, writer: ResourceWriter, *, clock: Clock, new_uid: Callable[[], str]) -> None:
        self._writer = writer
        self._clock = clock
        self._new_uid = new_uid

    async def tell(self, key: ObjectKey, gvk: GVK, *, reason: str, message: str, type_: str = NORMAL) -> None:
        """Write one event about an object."""
        namespace = key.namespace or "default"
        moment = format_rfc3339(self._clock.now())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{key.name}.{self._new_uid().replace('-', '')[:16]}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": gvk.api_version,
                "kind": key.kind,
                "name": key.name,
                "namespace": key.namespace,
            },
            "reason": reason,
            "message": message[:_MESSAGE_LIMIT],
            "type": type_,
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": FIELD_MANAGER},
        }
        try:
            await self._writer.create(event, WriteOptions(field_manager=FIELD_MANAGER))
        except ApiError as error:
            log.warning("event %s about %s could not be written: %s", reason, key, error)
