"""Large contents past the event loop, over real sockets: however a client cuts, mixes and breaks off."""

import asyncio
import gc
import hashlib
import random
import resource
import socket
import ssl
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from fakes.contents_app import ContentsApp, Pattern, content_of, serve_contents
from fakes.raw_http import RawConnection, format_head, format_request
from fakes.raw_random import talk_at_random
from towpath.aio.clock import SystemClock
from towpath.errors import RefusedError
from towpath.http.body import BodyInterruptedError, BodyTooSlowError, Patience
from towpath.http.certificates import ensure_certificates
from towpath.http.direct import WAITING_BYTES, WORTHWHILE_BYTES, Direct, content, find_direct
from towpath.http.line import BUFFER_BYTES, TURN_BYTES
from towpath.http.server import Listener

MIB = 1024 * 1024
SMALL, LARGE = content_of(1000), content_of(3 * MIB + 17)
# Around every bound there is.
SIZES = sorted(
    {0, 1}
    | {bound + more for bound in (WORTHWHILE_BYTES, WAITING_BYTES, BUFFER_BYTES) for more in (-1, 0, 1)}
    | {times * TURN_BYTES + more for times in (1, 2) for more in (-1, 0, 1)}
)
# More than the system keeps for a client that does not read.
UNREAD = 64 * MIB


def digest_of(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def in_chunks(body: bytes) -> bytes:
    pieces = [body[start : start + 100_000] for start in range(0, len(body), 100_000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(reached: Callable[[], bool]) -> None:
    """Wait for what nothing tells of."""
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.001)


@asynccontextmanager
async def talk(app: ContentsApp) -> AsyncIterator[tuple[RawConnection, int]]:
    """A connection to it, and the port for more of them."""
    async with serve_contents(app) as listener, asyncio.timeout(100):
        connection = await RawConnection.open(listener.port)
        yield connection, listener.port
        await connection.close()


# --- bodies


@pytest.mark.parametrize("size", SIZES)
async def test_a_body_of_any_length_arrives_and_the_connection_goes_on(size: int) -> None:
    app, body = ContentsApp(), content_of(size)
    async with talk(app) as (connection, _):
        for _ in range(2):
            answer = await connection.ask("PUT", "/", body)
            assert (answer.status, answer.body) == (200, digest_of(body))


async def test_most_of_a_large_body_goes_past_the_event_loop() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.ask("PUT", "/", LARGE)
        assert app.direct_bytes > len(LARGE) // 2


@pytest.mark.parametrize("with_head", [0, 1, 1000, WORTHWHILE_BYTES, len(LARGE) - 1, len(LARGE)])
@pytest.mark.parametrize("with_next", [0, 1, 1000, WORTHWHILE_BYTES, len(LARGE)])
async def test_a_body_may_come_with_its_head_and_with_the_next_request(with_head: int, with_next: int) -> None:
    app = ContentsApp()
    following = format_request("PUT", "/", SMALL) + format_request("GET", "/1000")
    rest = LARGE[with_head:]
    cut = max(0, len(rest) - with_next)
    async with talk(app) as (connection, _):
        await connection.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[:with_head])
        await connection.send(rest[:cut])
        await connection.send(rest[cut:] + following)
        bodies = [(await connection.receive()).body for _ in range(3)]
        assert bodies == [digest_of(LARGE), digest_of(SMALL), content_of(1000)]


async def test_the_next_request_may_come_while_a_worker_is_at_the_body() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[:1])
        # As long as the line is taken over nothing but the body is read from it.
        await connection.send(LARGE[1:] + 3 * format_request("PUT", "/", LARGE) + format_request("GET", "/5"))
        for _ in range(4):
            assert (await connection.receive()).body == digest_of(LARGE)
        assert (await connection.receive()).body == content_of(5)


async def test_a_line_end_after_a_body_is_no_request() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.send(format_request("PUT", "/", LARGE) + b"\r\n" + format_request("PUT", "/", SMALL))
        assert (await connection.receive()).body == digest_of(LARGE)
        assert (await connection.receive()).body == digest_of(SMALL)


async def test_who_asks_first_is_told_to_go_on() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.send(format_head("PUT", "/", content_length=str(len(LARGE)), expect="100-continue"))
        assert (await connection.receive_head()).status == 100
        await connection.send(LARGE)
        assert (await connection.receive()).body == digest_of(LARGE)


async def test_a_body_without_a_length_takes_the_way_of_messages() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.send(format_head("PUT", "/", transfer_encoding="chunked"))
        for start in range(0, len(LARGE), 100_000):
            piece = LARGE[start : start + 100_000]
            await connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        await connection.send(b"0\r\n\r\n" + format_request("PUT", "/", LARGE))
        assert (await connection.receive()).body == digest_of(LARGE)
        assert app.direct_bytes == 0
        assert (await connection.receive()).body == digest_of(LARGE)


@pytest.mark.parametrize(
    "asked", [{"upgrade": "h2c", "connection": "Upgrade, HTTP2-Settings"}, {"upgrade": "websocket"}]
)
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("size", [0, 1, 1000, len(LARGE)])
async def test_a_request_that_asks_for_another_protocol_is_one_like_any_other(
    asked: dict[str, str], is_chunked: bool, together: bool, size: int
) -> None:
    app, body, headers = ContentsApp(), content_of(size), {"connection": "upgrade", **asked}
    if is_chunked:
        head, sent = format_head("PUT", "/", transfer_encoding="chunked", **headers), in_chunks(body)
    else:
        head, sent = format_head("PUT", "/", content_length=str(size), **headers), body
    async with talk(app) as (connection, _):
        for _ in range(2):
            if together:
                await connection.send(head + sent + format_head("GET", "/5"))
            else:
                await connection.send(head)
                await until(lambda: bool(app.begun))
                await connection.send(sent + format_head("GET", "/5"))
            assert (await connection.receive()).body == digest_of(body)
            assert (await connection.receive()).body == content_of(5)
            app.begun = 0


async def test_a_body_behind_such_a_request_is_never_taken_for_the_next_one() -> None:
    app, body = ContentsApp(), format_head("GET", "/5")
    async with talk(app) as (connection, _):
        for sent in (format_head("PUT", "/", content_length=str(len(body)), connection="upgrade", upgrade="h2c"), body):
            await connection.send(sent)
            await until(lambda: bool(app.begun))
        assert (await connection.receive()).body == digest_of(body)
        assert (await connection.ask("PUT", "/")).body == digest_of(b"")
        assert app.begun == 2


async def test_many_such_requests_may_come_at_once() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.send(3000 * format_head("GET", "/5", connection="upgrade", upgrade="h2c"))
        for _ in range(3000):
            assert (await connection.receive()).body == content_of(5)


@pytest.mark.parametrize(
    "lengths",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Transfer-Encoding: identity", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 1_0"],
        ["Content-Length: -1"],
        ["Content-Length: "],
        ["Content-Length : 5"],
        ["Content-Length: 5", " 6"],
        ["Content-Length: 18446744073709551616"],
    ],
)
async def test_a_length_that_can_be_read_in_two_ways_is_refused(lengths: list[str]) -> None:
    app = ContentsApp()
    head = "\r\n".join(["PUT / HTTP/1.1", "Host: localhost", *lengths, "", ""]).encode()
    async with talk(app) as (connection, _):
        await connection.send(head + b"5\r\nabcde\r\n0\r\n\r\n")
        assert (await connection.receive()).status == 400
        assert await connection.reader.read() == b""
    assert app.errors == []


@pytest.mark.parametrize(("version", "headers"), [("1.1", {"connection": "close"}), ("1.0", {})])
async def test_a_connection_for_one_request_ends_after_it(version: str, headers: dict[str, str]) -> None:
    app, length = ContentsApp(), str(len(LARGE))
    async with serve_contents(app) as listener:
        for head, expected in (
            (format_head("PUT", "/", version=version, content_length=length, **headers) + LARGE, digest_of(LARGE)),
            (format_head("GET", f"/{length}", version=version, **headers), LARGE),
        ):
            connection = await RawConnection.open(listener.port)
            await connection.send(head)
            assert (await connection.receive()).body == expected
            assert await connection.reader.read() == b""
            await connection.close()


@pytest.mark.parametrize("arrived", [0, 1, WORTHWHILE_BYTES, len(LARGE) - 1])
async def test_a_client_that_goes_away_in_a_body_is_noticed(arrived: int) -> None:
    app = ContentsApp()
    async with talk(app) as (_, port):
        before = descriptors()
        for leave in ("abort", "close"):
            other = await RawConnection.open(port)
            await other.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[:arrived])
            if leave == "abort":
                other.abort()
            await other.close()
        await until(lambda: len(app.errors) == 2 and descriptors() == before)
        assert [type(error) for error in app.errors] == [BodyInterruptedError] * 2


@pytest.mark.parametrize("enough", [0, 1, MIB, len(LARGE) - 1])
async def test_a_failure_in_the_middle_of_a_body_is_answered_and_the_connection_goes_on(enough: int) -> None:
    app = ContentsApp(enough=enough)
    async with talk(app) as (connection, _):
        before = descriptors()
        for _ in range(3):
            answer = await connection.ask("PUT", "/", LARGE)
            assert (answer.status, answer.body) == (507, b"that is enough")
        assert [type(error) for error in app.errors] == [RefusedError] * 3
        assert descriptors() == before
        app.enough = None
        assert (await connection.ask("PUT", "/", LARGE)).body == digest_of(LARGE)


async def test_the_answer_to_a_failure_comes_before_the_body_has_ended() -> None:
    app = ContentsApp(enough=MIB)
    async with talk(app) as (connection, _):
        await connection.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[: 2 * MIB])
        assert (await connection.receive()).status == 507
        await connection.send(LARGE[2 * MIB :] + format_request("GET", "/5"))
        assert (await connection.receive()).body == content_of(5)


async def test_bodies_that_stand_still_hold_no_worker() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, port):
        before = descriptors()
        stuck = [await RawConnection.open(port) for _ in range(50)]
        for other in stuck:
            await other.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[:MIB])
        assert (await connection.ask("PUT", "/", LARGE)).body == digest_of(LARGE)
        assert (await connection.ask("GET", f"/{len(LARGE)}")).body == LARGE
        for other in stuck:
            await other.close()
        await until(lambda: len(app.errors) == 50 and descriptors() == before)


async def test_a_body_that_stands_still_is_too_slow() -> None:
    app = ContentsApp(patience=Patience(pause_seconds=0.05))
    async with talk(app) as (connection, _):
        await connection.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[:MIB])
        answer = await connection.receive()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert [type(error) for error in app.errors] == [BodyTooSlowError]


async def test_a_trickle_is_too_slow_by_its_rate() -> None:
    app = ContentsApp(patience=Patience(grace_seconds=0.0, least_bytes_per_second=1e18))
    async with talk(app) as (connection, _):
        await connection.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[:1])
        assert (await connection.receive()).status == 408


async def test_a_process_without_descriptors_takes_bodies_as_messages() -> None:
    taken: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        direct, message = find_direct(scope), await receive()
        assert direct is not None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            taken.append(direct.take_over())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        size = len(message["body"])
        while message["more_body"]:
            message = await receive()
            size += len(message["body"])
        text = str(size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
        await send({"type": "http.response.body", "body": text})

    listener = Listener(app)
    await listener.start()
    connection = await RawConnection.open(listener.port)
    await connection.send(format_head("PUT", "/", content_length=str(len(LARGE))) + b"x")
    await connection.send(LARGE[1:])
    assert (await connection.receive()).body == str(len(LARGE)).encode()
    assert taken == [False]
    await connection.close()
    await listener.close()


# --- answers


@pytest.mark.parametrize("size", SIZES)
async def test_contents_of_any_length_arrive_and_the_connection_goes_on(size: int) -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.send(2 * format_head("GET", f"/{size}"))
        for _ in range(2):
            answer = await connection.receive()
            assert (answer.status, answer.body == content_of(size)) == (200, True)
        await until(lambda: app.direct_bytes == 2 * size)


async def test_a_client_that_reads_in_small_steps_gets_all_of_it() -> None:
    app = ContentsApp()
    async with serve_contents(app) as listener:
        connection = await RawConnection.open(listener.port, receive_buffer=4096)
        await connection.send(format_head("GET", f"/{len(LARGE)}"))
        await connection.receive_head()
        received = bytearray()
        while len(received) < len(LARGE):
            received += await connection.reader.read(3001)
        assert received == LARGE
        await connection.close()


async def test_clients_that_do_not_read_hold_no_worker() -> None:
    app = ContentsApp()
    async with talk(app) as (connection, port):
        before = descriptors()
        stuck = [await RawConnection.open(port, receive_buffer=4096) for _ in range(50)]
        for other in stuck:
            await other.send(format_head("GET", f"/{UNREAD}"))
            await other.receive_head()
        assert (await connection.ask("GET", f"/{len(LARGE)}")).body == LARGE
        assert (await connection.ask("PUT", "/", LARGE)).body == digest_of(LARGE)
        for other in stuck:
            other.abort()
            await other.close()
        await until(lambda: descriptors() == before)


async def test_a_client_that_does_not_read_is_not_tried_again_and_again() -> None:
    app, positions = ContentsApp(), Counter[int]()
    app.filling = lambda position: positions.update([position])
    async with talk(app) as (connection, port):
        stuck = await RawConnection.open(port, receive_buffer=4096)
        await stuck.send(format_head("GET", f"/{UNREAD}"))
        await stuck.receive_head()
        for _ in range(100):
            assert (await connection.ask("PUT", "/", SMALL)).status == 200
        assert max(positions.values()) < 10
        stuck.abort()
        await stuck.close()


@pytest.mark.parametrize("leave", ["abort", "close"])
async def test_the_reading_ends_when_the_client_goes_away(leave: str) -> None:
    app, positions = ContentsApp(), [0]
    app.filling = positions.append
    async with talk(app) as (_, port):
        before = descriptors()
        other = await RawConnection.open(port, receive_buffer=4096)
        await other.send(format_head("GET", f"/{UNREAD}"))
        await other.receive_head()
        if leave == "abort":
            other.abort()
        await other.close()
        await until(lambda: descriptors() == before)
    assert max(positions) < UNREAD - BUFFER_BYTES


async def test_a_client_that_is_gone_before_the_contents_begin_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(content(Pattern(), start=0, stop=9, run=asyncio.to_thread))
        is_gone.set()

    listener = Listener(app)
    await listener.start()
    connection = await RawConnection.open(listener.port)
    await connection.send(format_head("GET", "/"))
    connection.abort()
    await connection.close()
    async with asyncio.timeout(60):
        await is_gone.wait()
    await listener.close()
    assert caplog.records == []


async def test_what_fails_in_the_middle_of_contents_ends_the_connection_early() -> None:
    app = ContentsApp()

    def fail_late(position: int) -> None:
        if position >= MIB:
            raise RefusedError("a piece is missing")

    app.filling = fail_late
    async with talk(app) as (connection, _):
        await connection.send(format_head("GET", f"/{len(LARGE)}"))
        assert (await connection.receive_head()).status == 200
        assert await connection.reader.read() == LARGE[:MIB]


@pytest.mark.parametrize("nonsense", [b"NONSENSE\r\n\r\n", b"GET /" + b"a" * 200_000])
async def test_nothing_is_put_into_the_middle_of_contents(nonsense: bytes) -> None:
    app = ContentsApp()
    async with talk(app) as (connection, _):
        await connection.send(format_head("GET", f"/{UNREAD}"))
        await connection.receive_head()
        await connection.send(nonsense)
        received = await connection.reader.readexactly(UNREAD)
        assert received == content_of(UNREAD)
        assert await connection.reader.read() == b""


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"5")]])
async def test_contents_need_a_head_that_declares_their_length(
    headers: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(content(Pattern(), start=0, stop=6, run=asyncio.to_thread))

    listener = Listener(app)
    await listener.start()
    connection = await RawConnection.open(listener.port)
    await connection.send(format_head("GET", "/"))
    await connection.receive_head()
    assert await connection.reader.read() == b""
    assert "GET / failed" in caplog.text
    await connection.close()
    await listener.close()


async def test_a_request_that_has_ended_leaves_no_circle_for_the_collector() -> None:
    requests: list[weakref.ref[Direct]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        direct = find_direct(scope)
        assert direct is not None
        requests.append(weakref.ref(direct))
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    listener = Listener(app)
    await listener.start()
    gc.collect()
    gc.disable()
    try:
        connection = await RawConnection.open(listener.port)
        for _ in range(3):
            assert (await connection.ask("PUT", "/", SMALL)).status == 204
        # The protocol knows the last one until the next begins.
        assert [request() is None for request in requests] == [True, True, False]
        await connection.close()
        await until(lambda: requests[2]() is None)
    finally:
        gc.enable()
        await listener.close()


# --- the end, and TLS


async def test_closing_in_the_middle_of_a_body_ends_soon_and_leaves_nothing_open() -> None:
    before = descriptors()
    app = ContentsApp()
    async with serve_contents(app, grace_seconds=0.0) as listener:
        connection = await RawConnection.open(listener.port)
        await connection.send(format_head("PUT", "/", content_length=str(len(LARGE))) + LARGE[:MIB])
        async with asyncio.timeout(60):
            await listener.close()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await connection.receive()
    await connection.close()
    await until(lambda: descriptors() == before)


async def test_closing_in_the_middle_of_contents_ends_soon_and_leaves_nothing_open() -> None:
    before = descriptors()
    app = ContentsApp()
    async with serve_contents(app, grace_seconds=0.0) as listener:
        connection = await RawConnection.open(listener.port, receive_buffer=4096)
        await connection.send(format_head("GET", f"/{UNREAD}"))
        await connection.receive_head()
        async with asyncio.timeout(60):
            await listener.close()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await connection.reader.readexactly(UNREAD)
    await connection.close()
    await until(lambda: descriptors() == before)


async def test_a_worker_that_is_at_it_keeps_its_connection_when_the_request_is_broken_off() -> None:
    before = descriptors()
    app = ContentsApp()
    loop, begun, may_go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def stand_still(position: int) -> None:
        if not position:
            loop.call_soon_threadsafe(begun.set)
            may_go_on.wait()

    app.filling = stand_still
    async with serve_contents(app, grace_seconds=0.0) as listener:
        connection = await RawConnection.open(listener.port)
        await connection.send(format_head("GET", f"/{len(LARGE)}"))
        await begun.wait()
        await listener.close()
        # Whoever opens something gets another descriptor than the one that the worker will write to.
        pairs = [socket.socketpair() for _ in range(3)]
        may_go_on.set()
    for one, other in pairs:
        one.close()
        assert other.recv(100) == b""
        other.close()
    await connection.close()
    await until(lambda: descriptors() == before)


async def test_behind_tls_contents_take_the_way_of_messages(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, names=["localhost"], now=SystemClock().now(), authority=tmp_path / "ca")
    context = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.crt")
    app, body = ContentsApp(), content_of(5 * MIB)
    async with serve_contents(app, certificate=files.certificate, key=files.key) as listener:
        connection = await RawConnection.open(listener.port, tls=context)
        for _ in range(2):
            assert (await connection.ask("PUT", "/", body)).body == digest_of(body)
            assert (await connection.ask("GET", f"/{len(body)}")).body == body
        assert app.direct_bytes == 0
        await connection.close()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_cut_and_mixed_at_random_arrives_byte_by_byte(seed: int) -> None:
    app, chance = ContentsApp(), random.Random(seed)  # noqa: S311 - repeatable on purpose
    async with serve_contents(app) as listener, asyncio.timeout(100):
        await asyncio.gather(*(talk_at_random(listener.port, chance, requests=6) for _ in range(3)))
    assert app.errors == []
