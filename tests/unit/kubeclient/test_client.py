"""The client against a scripted peer: what no honest server does on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from fakes.clock import VirtualClock
from fakes.peer import Answer, Peer, serve_peer
from towpath.kube.errors import (
    ApiError,
    ApiNotFoundError,
    ExpiredError,
    ForbiddenError,
    ServiceUnavailableError,
    UnauthorizedError,
)
from towpath.kube.objects import GVK, ObjectKey, name_of
from towpath.kube.requests import DeleteOptions, WriteOptions
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.credentials import Credentials
from towpath.kubeclient.kubeconfig import Cluster, Target, User

CONFIG_MAP = GVK("", "v1", "ConfigMap")
OPTIONS = WriteOptions(field_manager="towpath")
RESOURCES = {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}
PATH = "/api/v1/namespaces/dev/configmaps"
OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "dev"}}


def status(code: int, reason: str, **details: Any) -> JSONResponse:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"{reason} it is", "details": details}
    return JSONResponse(body, code)


def lines(*events: tuple[str, str, str]) -> bytes:
    documents = [{"type": kind, "object": {"metadata": {"name": n, "resourceVersion": v}}} for kind, n, v in events]
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def client_of(peer: Peer, clock: VirtualClock, **rest: Any) -> KubernetesClient:
    peer.answers.setdefault("GET /api/v1", JSONResponse(RESOURCES))
    target = Target("test", Cluster(server=f"http://{peer.host}"), User(token="one"))
    return KubernetesClient(target, clock=clock, environ={}, **rest)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what real sockets bring about."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - a socket of the test's peer has no event
            await asyncio.sleep(0.002)


async def push(clock: VirtualClock, task: "asyncio.Future[Any]") -> None:
    """Let a task have all the pauses it asks for."""
    async with asyncio.timeout(120):
        while not task.done():
            await until(lambda: clock.sleepers > 0 or task.done())
            await clock.advance(10)


class Rotating:
    """Credentials that are replaced when refused."""

    def __init__(self) -> None:
        self.given = 0

    async def get(self, *, refused: bool = False) -> Credentials:
        self.given += refused
        return Credentials(f"Bearer number-{self.given}")


async def test_the_server_s_pause_is_kept_and_the_write_sent_again() -> None:
    busy = Response(status_code=429, headers={"Retry-After": "7"})
    async with serve_peer({f"POST {PATH}": [busy, JSONResponse(OBJECT, 201)]}) as peer:
        clock = VirtualClock()
        client = client_of(peer, clock)
        creating = asyncio.create_task(client.create(OBJECT, OPTIONS))
        await until(lambda: clock.sleepers > 0)
        assert peer.lines.count(f"POST {PATH}") == 1
        await clock.advance(7)
        assert name_of(await creating) == "a"
        await client.close()


async def test_a_write_that_the_server_failed_is_not_sent_again() -> None:
    async with serve_peer({f"PATCH {PATH}/a": status(500, "InternalError")}) as peer:
        client = client_of(peer, VirtualClock())
        with pytest.raises(ApiError, match="InternalError it is"):
            await client.apply(OBJECT, OPTIONS)
        assert peer.lines.count(f"PATCH {PATH}/a") == 1
        await client.close()


async def test_a_refused_credential_is_replaced_once() -> None:
    refusals: list[Answer] = [status(401, "Unauthorized"), JSONResponse(OBJECT)]
    async with serve_peer({f"GET {PATH}/a": refusals}) as peer:
        client = client_of(peer, VirtualClock(), credentials=Rotating())
        await client.get(CONFIG_MAP, "a", "dev")
        used = [one.headers["authorization"] for one in peer.requests if one.line == f"GET {PATH}/a"]
        assert used == ["Bearer number-0", "Bearer number-1"]
        peer.answers[f"GET {PATH}/a"] = status(401, "Unauthorized")
        with pytest.raises(UnauthorizedError):
            await client.get(CONFIG_MAP, "a", "dev")
        await client.close()


async def test_a_server_that_is_not_there_is_unavailable_and_named() -> None:
    async with serve_peer() as peer:
        clock = VirtualClock()
        client, host = client_of(peer, clock), peer.host
    asking = asyncio.create_task(client.get(CONFIG_MAP, "a", "dev"))
    await push(clock, asking)
    with pytest.raises(ServiceUnavailableError, match=f"http://{host}: .*Unreachable.*refused"):
        await asking
    await client.close()


async def test_pages_are_joined_into_one_list() -> None:
    first = {"metadata": {"resourceVersion": "9", "continue": "next"}, "items": [{"metadata": {"name": "a"}}]}
    second = {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "b"}}]}
    async with serve_peer({f"GET {PATH}": [JSONResponse(first), JSONResponse(second)]}) as peer:
        client = client_of(peer, VirtualClock(), page_size=1)
        listed = await client.list(CONFIG_MAP, "dev")
        assert [name_of(item) for item in listed.items] == ["a", "b"]
        assert listed.resource_version == "9"
        assert [one.query for one in peer.requests[1:]] == ["limit=1", "limit=1&continue=next"]
        await client.close()


async def test_pages_that_took_too_long_are_asked_for_all_at_once() -> None:
    first = {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]}
    whole = {"metadata": {"resourceVersion": "12"}, "items": [{"metadata": {"name": name}} for name in "ab"]}
    answers: list[Answer] = [JSONResponse(first), status(410, "Expired"), JSONResponse(whole)]
    async with serve_peer({f"GET {PATH}": answers}) as peer:
        client = client_of(peer, VirtualClock(), page_size=1)
        listed = await client.list(CONFIG_MAP, "dev")
        assert (len(listed.items), listed.resource_version, peer.requests[-1].query) == (2, "12", "")
        await client.close()


async def test_a_watch_that_ends_is_resumed_after_its_last_bookmark() -> None:
    streams: list[Answer] = [
        Response(lines(("ADDED", "a", "5"), ("BOOKMARK", "", "8"))),
        Response(lines(("ADDED", "b", "9"))),
    ]
    async with serve_peer({f"GET {PATH}": [*streams, status(410, "Expired")]}) as peer:
        client = client_of(peer, VirtualClock())
        names: list[str] = []

        async def read() -> None:
            async for event in client.watch(CONFIG_MAP, "dev", resource_version="3"):
                names.append(name_of(event.object))  # noqa: PERF401 - what came before the end is the point

        with pytest.raises(ExpiredError):
            await read()
        assert names == ["a", "b"]
        versions = [parse_qs(one.query)["resourceVersion"] for one in peer.requests[1:]]
        assert versions == [["3"], ["8"], ["9"]]
        await client.close()


async def test_a_watch_that_is_refused_ends_with_the_refusal() -> None:
    async with serve_peer({f"GET {PATH}": status(403, "Forbidden")}) as peer:
        client = client_of(peer, VirtualClock())
        with pytest.raises(ForbiddenError):
            await anext(client.watch(CONFIG_MAP, "dev", resource_version="3"))
        await client.close()


async def test_a_watch_waits_longer_each_time_the_server_is_away() -> None:
    away = status(503, "ServiceUnavailable")
    async with serve_peer({f"GET {PATH}": [*[away] * 6, Response(lines(("ADDED", "a", "5")))]}) as peer:
        clock = VirtualClock()
        client = client_of(peer, clock)
        reading = asyncio.ensure_future(anext(client.watch(CONFIG_MAP, "dev", resource_version="3")))
        await push(clock, reading)
        assert name_of((await reading).object) == "a"
        await client.close()


async def test_a_cancelled_watch_lets_go_of_its_connection() -> None:
    gone = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield lines(("ADDED", "a", "5"))
            await asyncio.Event().wait()
        finally:
            gone.set()

    async with serve_peer({f"GET {PATH}": lambda _: StreamingResponse(endless())}) as peer:
        client = client_of(peer, VirtualClock())
        seen = asyncio.Event()

        async def read() -> None:
            async for _ in client.watch(CONFIG_MAP, "dev", resource_version="3"):
                seen.set()

        reading = asyncio.create_task(read())
        async with asyncio.timeout(120):
            await seen.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await gone.wait()
        await client.close()


async def test_kinds_are_asked_for_once_and_a_missing_one_again_after_a_second() -> None:
    async with serve_peer({f"DELETE {PATH}/a": JSONResponse({"kind": "Status"})}) as peer:
        clock = VirtualClock()
        client = client_of(peer, clock)
        await asyncio.gather(*(client.delete(CONFIG_MAP, "a", "dev", DeleteOptions()) for _ in range(5)))
        assert peer.lines.count("GET /api/v1") == 1
        await clock.advance(2)
        for _ in range(3):
            with pytest.raises(ApiNotFoundError, match='no matches for kind "Unicorn" in version "v1"'):
                await client.get(GVK("", "v1", "Unicorn"), "a", "dev")
        assert peer.lines.count("GET /api/v1") == 2
        await client.close()


async def test_warnings_are_told_with_their_object() -> None:
    told: list[tuple[ObjectKey, str]] = []
    answer = JSONResponse(OBJECT, 201, headers={"Warning": '299 - "unknown field \\"x\\""'})
    async with serve_peer({f"POST {PATH}": answer}) as peer:
        client = client_of(peer, VirtualClock(), on_warning=lambda key, text: told.append((key, text)))
        await client.create(OBJECT, OPTIONS)
        assert told == [(ObjectKey("", "ConfigMap", "dev", "a"), 'unknown field "x"')]
        await client.close()


async def test_a_log_comes_in_pieces_as_it_is_written() -> None:
    path = "GET /api/v1/namespaces/dev/pods/sensor-0/log"

    async def written() -> AsyncIterator[bytes]:
        yield b"one\n"
        yield b"two\n"

    async with serve_peer({path: lambda _: StreamingResponse(written())}) as peer:
        client = client_of(peer, VirtualClock())
        found = b"".join([piece async for piece in client.logs("dev", "sensor-0", "main", tail_lines=2)])
        await client.close()

    assert found == b"one\ntwo\n"
    assert parse_qs(peer.requests[-1].query) == {"container": ["main"], "tailLines": ["2"]}


async def test_a_log_that_is_refused_says_why_before_its_first_piece() -> None:
    path = "GET /api/v1/namespaces/dev/pods/sensor-0/log"
    async with serve_peer({path: status(400, "BadRequest")}) as peer:
        client = client_of(peer, VirtualClock())
        with pytest.raises(ApiError, match="BadRequest it is"):
            await anext(client.logs("dev", "sensor-0", "main"))
        await client.close()
