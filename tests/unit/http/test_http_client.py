import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as ServerRequest
from starlette.responses import Response as ServerResponse
from starlette.routing import Route

from towpath.http.client import HttpClient, Request, ResponseTooLargeError, UnreachableError, _describe
from towpath.http.server import Listener

NOW = 1_769_851_800.0


class RecordingClock:
    """Sleeps not at all and remembers for how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Peer:
    """Answers by a list of answers, the last one for ever, and remembers what arrived."""

    def __init__(self, *answers: ServerResponse) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.clock = RecordingClock()
        self.url = ""
        self.client = HttpClient(clock=self.clock, timeout_seconds=5)

    async def answer(self, request: ServerRequest) -> ServerResponse:
        self.bodies.append(await request.body())
        self.headers.append(dict(request.headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def serve(peer: Peer) -> AsyncIterator[Peer]:
    methods = ["GET", "POST", "PUT", "PATCH"]
    listener = Listener(Starlette(routes=[Route("/{path:path}", peer.answer, methods=methods)]), grace_seconds=0)
    await listener.start()
    peer.url = f"{listener.url}/x"
    try:
        yield peer
    finally:
        await peer.client.close()
        await listener.close()


async def test_a_response_of_any_status_is_a_response() -> None:
    async with serve(Peer(ServerResponse(b"no", 404, {"X-Y": "z"}))) as peer:
        async with await peer.client.send(Request("GET", peer.url)) as response:
            assert (response.status, await response.read(10)) == (404, b"no")
            assert response.headers["x-y"] == "z"
        assert peer.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_request_without_effect_is_sent_again(status: int) -> None:
    async with serve(Peer(ServerResponse(status_code=status), ServerResponse(b"ok"))) as peer:
        async with await peer.client.send(Request("GET", peer.url)) as response:
            assert response.status == 200
        assert peer.clock.slept == [0.2]


async def test_retries_are_bounded_and_the_last_response_is_returned() -> None:
    async with serve(Peer(ServerResponse(status_code=503))) as peer:
        async with await peer.client.send(Request("GET", peer.url)) as response:
            assert response.status == 503
        assert peer.clock.slept == [0.2, 0.4, 0.8]


@pytest.mark.parametrize(
    ("retry_after", "slept"),
    [("7", 7.0), (formatdate(NOW + 9, usegmt=True), 9.0), ("soon", 0.2), ("-1", 0.2), (formatdate(NOW - 9), 0.2)],
)
async def test_the_server_says_how_long_to_wait(retry_after: str, slept: float) -> None:
    answers = ServerResponse(status_code=429, headers={"Retry-After": retry_after}), ServerResponse()
    async with serve(Peer(*answers)) as peer:
        await (await peer.client.send(Request("GET", peer.url))).close()
        assert peer.clock.slept == [slept]


async def test_too_long_a_pause_is_left_to_the_caller() -> None:
    async with serve(Peer(ServerResponse(status_code=429, headers={"Retry-After": "3600"}))) as peer:
        async with await peer.client.send(Request("GET", peer.url)) as response:
            assert response.status == 429
        assert peer.clock.slept == []


@pytest.mark.parametrize(("status", "sent"), [(500, 1), (502, 1), (503, 2), (429, 2)])
async def test_a_request_with_effect_is_sent_again_only_if_nothing_happened(status: int, sent: int) -> None:
    async with serve(Peer(ServerResponse(status_code=status), ServerResponse())) as peer:
        await (await peer.client.send(Request("POST", peer.url))).close()
        assert len(peer.bodies) == sent


@pytest.mark.parametrize("length", [6, None])
async def test_a_retry_sends_the_body_from_its_start(length: int | None) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    async with serve(Peer(ServerResponse(status_code=500), ServerResponse())) as peer:
        await (await peer.client.send(Request("PUT", peer.url, body=body, length=length))).close()
        assert peer.bodies == [b"abcdef", b"abcdef"]
        assert peer.headers[1].get("content-length") == (str(length) if length else None)


async def test_more_than_the_limit_is_not_read() -> None:
    async with serve(Peer(ServerResponse(b"x" * 1000))) as peer:
        async with await peer.client.send(Request("GET", peer.url + "?token=hunter2")) as response:
            with pytest.raises(ResponseTooLargeError, match="more than 999 bytes") as caught:
                await response.read(999)
        assert "hunter2" not in caught.value.message


async def test_a_redirect_is_handed_to_the_caller() -> None:
    redirect = ServerResponse(status_code=307, headers={"Location": "/y"})
    async with serve(Peer(redirect)) as peer, await peer.client.send(Request("GET", peer.url)) as response:
        assert (response.status, response.headers["location"]) == (307, "/y")


async def test_a_refused_connection_is_tried_again_then_told(unused_tcp_port: int) -> None:
    clock = RecordingClock()
    client = HttpClient(clock=clock)
    with pytest.raises(
        UnreachableError, match=f"POST http://127.0.0.1:{unused_tcp_port}/x failed .*connection refused"
    ) as caught:
        await client.send(Request("POST", f"http://127.0.0.1:{unused_tcp_port}/x?secret=1"))
    assert not caught.value.sent
    assert len(clock.slept) == 3
    await client.close()


def test_the_cause_is_told_and_not_how_it_was_wrapped() -> None:
    wrapped = OSError("All connection attempts failed")
    wrapped.__cause__ = ExceptionGroup("several", [socket.gaierror(-2, "Name or service not known")])
    assert _describe(wrapped) == "no such host"
    assert _describe(ValueError("odd")) == "odd"
    assert _describe(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("url", ["http://[", "http://", "https://xn--a", "ftp://127.0.0.1/x"])
async def test_an_impossible_address_is_our_error(url: str) -> None:
    client = HttpClient(clock=RecordingClock())
    with pytest.raises(UnreachableError):
        await client.send(Request("GET", url))
    await client.close()


async def test_a_header_that_cannot_be_sent_is_our_error_and_is_not_shown() -> None:
    client = HttpClient(clock=RecordingClock())
    with pytest.raises(UnreachableError) as caught:
        await client.send(Request("GET", "http://127.0.0.1:1/", {"Authorization": "Bearer s3crét"}))
    assert "s3cr" not in str(caught.value)
    await client.close()


@pytest.mark.parametrize(("method", "attempts"), [("GET", 4), ("POST", 1)])
async def test_a_peer_that_hangs_up_is_tried_again_only_without_effect(method: str, attempts: int) -> None:
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    client = HttpClient(clock=RecordingClock())
    async with server:
        with pytest.raises(UnreachableError):
            await client.send(Request(method, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert connections == attempts
    await client.close()


async def test_a_body_cut_short_is_our_error() -> None:
    async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        writer.close()

    server = await asyncio.start_server(cut_short, "127.0.0.1", 0)
    client = HttpClient(clock=RecordingClock())
    async with server:
        response = await client.send(Request("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
        async with response:
            with pytest.raises(UnreachableError):
                await response.read(100)
    await client.close()


async def test_a_peer_that_says_nothing_runs_into_the_time_limit() -> None:
    done = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    client = HttpClient(clock=RecordingClock(), timeout_seconds=0.02, attempts=2)
    async with server:
        with pytest.raises(UnreachableError, match="Timeout"):
            await client.send(Request("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
        done.set()
    await client.close()


@pytest.mark.parametrize(
    ("url", "stores"), [("http://127.0.0.1:1/", 0), ("http://[::1]:1/", 0), ("http://127.0.0.1@localhost:1/", 1)]
)
async def test_only_clear_text_to_this_machine_needs_no_trust_store(
    url: str, stores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **given: loaded.append(given))
    client = HttpClient(attempts=1)
    for _ in range(2):
        with pytest.raises(UnreachableError):
            await client.send(Request("GET", url))
    await client.close()
    assert len(loaded) == stores
