"""The Kubernetes API over HTTP: the second adapter of `reconcile.ports.ResourceClient` and `observe.output.PodLogs`.

What each method raises stands there. Lists come in pages and are handed out whole; warnings of the API go to
`on_warning`; a watch is resumed by itself and ends only with ExpiredError, a refusal, or its reader.
"""

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Unpack

from towpath.aio.clock import Clock
from towpath.kube.errors import ApiNotFoundError, ExpiredError
from towpath.kube.objects import GVK, Object, ObjectKey, gvk_of, key_of
from towpath.kube.requests import DeleteOptions, EventType, LogOptions, ObjectList, Patch, WatchEvent, WriteOptions
from towpath.kubeclient.credentials import CredentialSource, open_credentials
from towpath.kubeclient.discovery import ServedKind, unknown_kind
from towpath.kubeclient.kinds import Kinds
from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.request import (
    PAGE_SIZE,
    PreparedRequest,
    prepare_apply,
    prepare_create,
    prepare_delete,
    prepare_get,
    prepare_list,
    prepare_log,
    prepare_patch,
    prepare_update,
)
from towpath.kubeclient.response import parse_object, parse_page, parse_warnings
from towpath.kubeclient.transport import CONCURRENCY, TIMEOUT_SECONDS, Answer, Transport
from towpath.kubeclient.watch import Selection, Watcher

# A quiet program writes nothing for hours; whoever follows it ends the stream, and a dead connection costs a socket.
QUIET_LOG_SECONDS = 4 * 3600.0


def _ignore(_key: ObjectKey, _warning: str) -> None:
    return


class KubernetesClient:
    """Speaks to one cluster; close it when done."""

    def __init__(
        self,
        target: Target,
        *,
        clock: Clock,
        credentials: CredentialSource | None = None,
        environ: Mapping[str, str] | None = None,
        concurrency: int = CONCURRENCY,
        page_size: int = PAGE_SIZE,
        on_warning: Callable[[ObjectKey, str], None] = _ignore,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            target: which server, and as whom.
            clock: paces retries, and ages what is remembered.
            credentials: instead of those the target names.
            environ: the environment of a credential plugin; by default this process's.
            concurrency: how many requests may be under way at once.
            page_size: how many objects a page of a list has.
            on_warning: hears the warnings of writes.

        Raises:
            KubeconfigError: a certificate of the target cannot be read.
        """
        source = credentials or open_credentials(
            target, environ=os.environ if environ is None else environ, clock=clock
        )
        self._transport = Transport(target, credentials=source, clock=clock, concurrency=concurrency)
        self._kinds = Kinds(self._transport, clock=clock)
        self._watcher = Watcher(self._transport, clock=clock)
        self._page_size = page_size
        self._on_warning = on_warning

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object."""
        answer = await self._send(gvk, prepare_get(await self._kinds.get(gvk), name, namespace))
        return parse_object(answer.content)

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """All matching objects, consistent at one resource version."""
        kind = await self._kinds.get(gvk)
        try:
            return await self._list(kind, Selection(namespace, labels, fields), self._page_size)
        except ExpiredError:
            # The pages took longer than the server remembers. All at once costs it more, but cannot expire.
            return await self._list(kind, Selection(namespace, labels, fields), 0)

    async def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after `resource_version`; without one, first an ADDED for each existing object."""
        kind = await self._kinds.get(gvk)
        selection = Selection(namespace, labels, fields)
        if not resource_version:
            # Not the server's own initial events: a stream that breaks off among them could not be resumed.
            listed = await self.list(gvk, namespace, labels=labels, fields=fields)
            for obj in listed.items:
                yield WatchEvent(EventType.ADDED, obj)
            resource_version = listed.resource_version
        async for event in self._watcher.events(kind, selection, resource_version):
            yield event

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        """Store a new object."""
        gvk = gvk_of(obj)
        return self._told(await self._send(gvk, prepare_create(await self._kinds.get(gvk), obj, options)))

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        """Replace an object."""
        gvk = gvk_of(obj)
        return self._told(await self._send(gvk, prepare_update(await self._kinds.get(gvk), obj, options)))

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """Change some fields."""
        kind = await self._kinds.get(gvk)
        return self._told(await self._send(gvk, prepare_patch(kind, name, namespace, patch, options)))

    async def apply(self, obj: Object, options: WriteOptions) -> Object:
        """Server-side apply."""
        gvk = gvk_of(obj)
        return self._told(await self._send(gvk, prepare_apply(await self._kinds.get(gvk), obj, options)))

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """Ask for deletion; finalizers may delay it."""
        await self._send(gvk, prepare_delete(await self._kinds.get(gvk), name, namespace, options))

    async def logs(
        self, namespace: str, pod: str, container: str, **options: Unpack[LogOptions]
    ) -> AsyncGenerator[bytes, None]:
        """What a container has written, in pieces. Raises ApiError."""
        idle = QUIET_LOG_SECONDS if options.get("follow") else TIMEOUT_SECONDS
        prepared = prepare_log(namespace, pod, container, **options)
        async with self._transport.stream(prepared, idle_seconds=idle) as pieces:
            async for piece in pieces:
                yield piece

    async def version(self) -> Object:
        """The server's version document: `gitVersion`, `major`, `minor`, …. Raises ApiError.

        One attempt: who asks wants to know whether the server answers, and if not, why.
        """
        return parse_object((await self._transport.send(PreparedRequest("GET", "/version", attempts=1))).content)

    async def close(self) -> None:
        """Close all connections; watches end."""
        await self._transport.close()

    async def _list(self, kind: ServedKind, selection: Selection, limit: int) -> ObjectList:
        items: list[Object] = []
        token = ""
        while True:
            prepared = prepare_list(
                kind,
                selection.namespace,
                labels=selection.labels,
                fields=selection.fields,
                limit=limit,
                continue_token=token,
            )
            page = parse_page((await self._send(kind.gvk, prepared)).content, kind.gvk)
            items += page.items
            token = page.continue_token
            if not token:
                return ObjectList(items, page.resource_version)

    async def _send(self, gvk: GVK, prepared: PreparedRequest) -> Answer:
        try:
            return await self._transport.send(prepared)
        except ApiNotFoundError as error:
            if not error.details.get("name"):  # not the object is missing but the path: its definition went away
                self._kinds.forget(gvk)
                raise self._explain(gvk, error) from error
            raise

    def _explain(self, gvk: GVK, error: ApiNotFoundError) -> ApiNotFoundError:
        lost = error.message.startswith(("404 page not found", "the server answered 404"))
        return unknown_kind(gvk) if lost else error

    def _told(self, answer: Answer) -> Object:
        obj = parse_object(answer.content)
        for warning in parse_warnings(answer.warning):
            self._on_warning(key_of(obj), warning)
        return obj
