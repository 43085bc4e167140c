"""`logs`: the output of a service's pods, interleaved as it comes; with several pods each line names its own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Protocol, Unpack

from towpath.errors import NotFoundError
from towpath.kube.errors import ApiError
from towpath.kube.objects import GVK, Object, find_path, name_of, namespace_of
from towpath.kube.requests import LogOptions
from towpath.observe.sources import Sources
from towpath.reconcile.artifacts import find_service

log = logging.getLogger(__name__)

POD = GVK("", "v1", "Pod")


class PodLogs(Protocol):
    """Where the output of containers comes from."""

    def logs(self, namespace: str, pod: str, container: str, **options: Unpack[LogOptions]) -> AsyncIterator[bytes]:
        """The output in chunks. Raises ApiError before the first."""
        ...


class ServiceOutput:
    """The output of services."""

    def __init__(self, sources: Sources, logs: PodLogs) -> None:
        self._sources = sources
        self._logs = logs

    async def open(
        self, *, environment: str, service: str, pod: str, follow: bool, previous: bool, tail: int
    ) -> AsyncIterator[bytes]:
        """The output, line by line.

        Raises:
            NotFoundError: no such environment or service, or no pod of it.
        """
        found = await self._pods(environment, service, pod)
        streams = [
            self._lines(found_pod, container, follow=follow, previous=previous, tail=tail, named=len(found) > 1)
            for found_pod, container in found
        ]
        return _merge(streams)

    async def _pods(self, environment: str, service: str, pod: str) -> list[tuple[Object, str]]:
        blueprint = await self._sources.blueprint()
        if blueprint is None:
            raise NotFoundError("logs cannot be shown (NoCommit): nothing was pushed yet")
        blueprint.get_service(service)
        name = environment or next(iter(blueprint.environments), "")
        blueprint.get_environment(name)
        found = []
        for namespace in self._sources.namespaces_of(name):
            for one in (await self._sources.client.list(POD, namespace)).items:
                for container in find_path(one, "spec", "containers") or []:
                    match = find_service(str(container.get("image", "")), blueprint.registry)
                    if match and match[0] == service and pod in ("", name_of(one)):
                        found.append((one, str(container["name"])))
        if not found:
            wanted = f"pod {pod}" if pod else "a pod"
            raise NotFoundError(
                f"logs of {service} cannot be shown (NotFound): {name} has not {wanted} of it",
                hint=f"towpath explain {name} {service}",
            )
        return found

    async def _lines(
        self, pod: Object, container: str, *, follow: bool, previous: bool, tail: int, named: bool
    ) -> AsyncIterator[bytes]:
        prefix = f"[{name_of(pod)}] ".encode() if named else b""
        rest = b""
        try:
            async for chunk in self._logs.logs(
                namespace_of(pod), name_of(pod), container, previous=previous, follow=follow, tail_lines=tail
            ):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield prefix + line + b"\n"
        except ApiError as error:  # one pod that has not started must not hide the others
            yield prefix + f"({error.message})\n".encode()
        if rest:
            yield prefix + rest + b"\n"


async def _merge(streams: list[AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=256)

    async def pump(stream: AsyncIterator[bytes]) -> None:
        try:
            async for line in stream:
                await queue.put(line)
        except Exception:
            log.exception("output of a pod ended early")
        await queue.put(None)

    tasks = [asyncio.create_task(pump(stream)) for stream in streams]
    open_streams = len(tasks)
    try:
        while open_streams:
            line = await queue.get()
            if line is None:
                open_streams -= 1
            else:
                yield line
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
