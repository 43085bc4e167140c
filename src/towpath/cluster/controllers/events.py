"""Recording Events: what a controller did, and why it could not, for `kubectl describe` and `towpath events`.

Recording never waits and never fails its caller: an event is handed over, and written in the background. Repetitions
that pile up meanwhile become one write. What is combined, counted or dropped is decided in `correlation`.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from towpath.aio.clock import Clock, format_rfc3339
from towpath.aio.tasks import Background
from towpath.cluster.controllers.correlation import Correlator, Occurrence, Tally
from towpath.cluster.controllers.ports import ObjectWriter
from towpath.kube.errors import ApiError
from towpath.kube.objects import GVK, Object, name_of, namespace_of, resource_version_of, uid_of
from towpath.kube.requests import Patch, PatchType, WriteOptions

log = logging.getLogger(__name__)

EVENT = GVK("", "v1", "Event")

# 1024: the API's own limit for `message`.
MAX_MESSAGE = 1024

# 1000: upstream's queue; beyond it events are lost rather than memory.
MAX_PENDING = 1000


@dataclass(frozen=True, slots=True)
class _Pending:
    tally: Tally
    involved: dict[str, Any]
    is_new: bool  # its Event object has not been written yet


class EventRecorder:
    """Writes Events for all controllers. Start it, and close it to write what is still pending."""

    def __init__(self, client: ObjectWriter, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._correlator = Correlator()
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._wake = asyncio.Event()
        self._writing = False
        self._background = Background()

    @property
    def is_idle(self) -> bool:
        """Whether everything recorded has been written."""
        return not self._pending and not self._writing

    def source(self, component: str, *, host: str = "") -> "EventSource":
        """The recorder as one component uses it."""
        return EventSource(self, component, host)

    def record(self, occurrence: Occurrence, involved: dict[str, Any]) -> None:
        """Hand over one occurrence; `involved` is the object reference of the Event."""
        tally = self._correlator.find_tally(occurrence, now=self._clock.now())
        if tally is None:
            return
        waiting = self._pending.get(tally.event_name)
        if waiting is None and len(self._pending) >= MAX_PENDING:
            log.warning("an event was dropped, %d wait: %s", len(self._pending), occurrence.message)
            self._correlator.forget(tally)
            return
        is_new = tally.count == 1 or (waiting is not None and waiting.is_new)
        self._pending[tally.event_name] = _Pending(tally, involved, is_new)
        self._wake.set()

    def start(self) -> None:
        """Start writing."""
        self._background.run_forever("event-recorder", self._write_for_ever)

    async def close(self) -> None:
        """Stop, after writing what is pending."""
        await self._background.close()
        await self._flush()

    async def _write_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        self._writing = True
        try:
            while self._pending:
                _, pending = self._pending.popitem(last=False)
                await self._write(pending)
        finally:
            self._writing = False

    async def _write(self, pending: _Pending) -> None:
        tally = pending.tally
        options = WriteOptions(field_manager=tally.occurrence.component)
        try:
            if pending.is_new:
                await self._client.create(_prepare_event(pending), options)
            else:
                namespace, patch = tally.occurrence.namespace, Patch(PatchType.MERGE, _prepare_repetition(tally))
                await self._client.patch(EVENT, tally.event_name, namespace, patch, options)
        except ApiError as error:
            # The Event expired, or its namespace went: the next occurrence starts a new one.
            self._correlator.forget(tally)
            log.debug("an event could not be written: %s", error)


class EventSource:
    """One component's way to record events."""

    def __init__(self, recorder: EventRecorder, component: str, host: str = "") -> None:
        self._recorder = recorder
        self._component = component
        self._host = host

    def normal(self, involved: Object, reason: str, message: str, *, field_path: str = "") -> None:
        """Something went as intended."""
        self._record(involved, "Normal", reason, message, field_path)

    def warning(self, involved: Object, reason: str, message: str, *, field_path: str = "") -> None:
        """Something did not go as intended."""
        self._record(involved, "Warning", reason, message, field_path)

    def _record(self, involved: Object, event_type: str, reason: str, message: str, field_path: str) -> None:
        reference = {
            "apiVersion": involved.get("apiVersion", ""),
            "kind": involved.get("kind", ""),
            "namespace": namespace_of(involved),
            "name": name_of(involved),
            "uid": uid_of(involved),
            "resourceVersion": resource_version_of(involved),
            "fieldPath": field_path,
        }
        occurrence = Occurrence(
            component=self._component,
            host=self._host,
            involved_uid=uid_of(involved),
            involved_kind=f"{involved.get('kind', '')}{field_path}",
            namespace=namespace_of(involved) or "default",  # upstream's place for events of cluster-scoped objects
            name=name_of(involved),
            type=event_type,
            reason=reason,
            message=message,
        )
        self._recorder.record(occurrence, {name: value for name, value in reference.items() if value})


def _prepare_event(pending: _Pending) -> Object:
    tally = pending.tally
    occurrence = tally.occurrence
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": tally.event_name, "namespace": occurrence.namespace},
        "involvedObject": pending.involved,
        "type": occurrence.type,
        "reason": occurrence.reason,
        "message": occurrence.message[:MAX_MESSAGE],
        "source": {"component": occurrence.component, **({"host": occurrence.host} if occurrence.host else {})},
        "firstTimestamp": format_rfc3339(tally.first),
        "lastTimestamp": format_rfc3339(tally.last),
        "count": tally.count,
        "reportingComponent": occurrence.component,
        "reportingInstance": occurrence.host,
    }


def _prepare_repetition(tally: Tally) -> dict[str, Any]:
    return {
        "count": tally.count,
        "lastTimestamp": format_rfc3339(tally.last),
        "message": tally.occurrence.message[:MAX_MESSAGE],
    }
