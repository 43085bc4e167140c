"""The kinds of one server, asked for when first needed and remembered.

A kind that is missing is asked for again, at most once a second: a custom resource's definition may have been applied a
moment ago, and whoever waits for it asks often. What is known is believed for ten minutes.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from towpath.aio.clock import Clock
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK
from towpath.kubeclient.discovery import ServedKind, group_version_path, parse_resource_list, unknown_kind
from towpath.kubeclient.request import PreparedRequest
from towpath.kubeclient.response import parse_object
from towpath.kubeclient.transport import Transport

KNOWN_SECONDS = 600.0
MISSING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Group:
    kinds: dict[str, ServedKind]
    asked_at: float


class Kinds:
    """Finds how a kind is served."""

    def __init__(self, transport: Transport, *, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._groups: dict[tuple[str, str], _Group] = {}
        self._asking: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, gvk: GVK) -> ServedKind:
        """The kind as a resource. Raises ApiNotFoundError when the server does not have it."""
        served = self._find(gvk)
        if served is None:
            async with self._asking[gvk.group, gvk.version]:
                served = self._find(gvk)
                if served is None and self._may_ask(gvk):
                    self._groups[gvk.group, gvk.version] = await self._ask(gvk)
                    served = self._find(gvk)
        if served is None:
            raise unknown_kind(gvk)
        return served

    def forget(self, gvk: GVK) -> None:
        """Ask again at the next use: the server does not know the path any more."""
        self._groups.pop((gvk.group, gvk.version), None)

    def _find(self, gvk: GVK) -> ServedKind | None:
        group = self._groups.get((gvk.group, gvk.version))
        if group is None or self._clock.monotonic() - group.asked_at >= KNOWN_SECONDS:
            return None
        return group.kinds.get(gvk.kind)

    def _may_ask(self, gvk: GVK) -> bool:
        group = self._groups.get((gvk.group, gvk.version))
        return group is None or self._clock.monotonic() - group.asked_at >= MISSING_SECONDS

    async def _ask(self, gvk: GVK) -> _Group:
        try:
            answer = await self._transport.send(PreparedRequest("GET", group_version_path(gvk)))
        except ApiNotFoundError:
            return _Group({}, self._clock.monotonic())
        return _Group(parse_resource_list(parse_object(answer.content), gvk), self._clock.monotonic())
