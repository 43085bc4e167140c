import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from towpath.cluster.node.network.services import connect_from_host
from towpath.cluster.node.pod.probe_actions import Outcome, find_port, make_action
from towpath.kube.objects import Object


class Target:
    """A container on the host's loopback."""

    address = "127.0.0.1"

    def __init__(self) -> None:
        self.executed: list[Sequence[str]] = []
        self.result: tuple[int, str] | type[TimeoutError] = (0, "")

    async def connect(self, host: str, port: int) -> socket.socket:
        return await connect_from_host(host, port)

    async def execute(self, command: Sequence[str], *, timeout_seconds: float) -> tuple[int, str]:  # noqa: ARG002
        self.executed.append(command)
        if isinstance(self.result, tuple):
            return self.result
        raise self.result


@asynccontextmanager
async def server(answer: bytes, *, then_close: bool = True) -> AsyncIterator[tuple[int, list[bytes]]]:
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            for byte in answer:
                writer.write(bytes([byte]))
            if not then_close:
                await reader.read()
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], heard
    finally:
        listening.close()
        await listening.wait_closed()


async def look(probe: Object, target: Target | None = None, *, timeout_seconds: float = 5) -> Outcome:
    return await make_action(probe, {}, target or Target(), timeout_seconds=timeout_seconds)()


def get(port: int, **changes: object) -> Object:
    return {"httpGet": {"port": port, "path": "/healthz", **changes}}


@pytest.mark.parametrize("status", [200, 204, 302, 399])
async def test_an_answer_below_400_is_a_success(status: int) -> None:
    async with server(f"HTTP/1.1 {status} X\r\n\r\n".encode()) as (port, heard):
        assert await look(get(port)) == Outcome(success=True)
    assert heard[0].startswith(b"GET /healthz HTTP/1.1\r\n")
    assert b"User-Agent: kube-probe/" in heard[0]


@pytest.mark.parametrize("status", [100, 400, 404, 500, 503])
async def test_any_other_answer_is_a_failure_with_its_code(status: int) -> None:
    async with server(f"HTTP/1.1 {status} X\r\n\r\n".encode()) as (port, _):
        assert await look(get(port)) == Outcome(False, f"HTTP probe failed with statuscode: {status}")


async def test_headers_of_the_probe_replace_ours() -> None:
    headers = [{"name": "host", "value": "example.org"}, {"name": "X-Token", "value": "1"}]
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (port, heard):
        await look(get(port, httpHeaders=headers))
    assert b"host: example.org" in heard[0]
    assert b"Host:" not in heard[0]
    assert b"X-Token: 1" in heard[0]


async def test_a_connection_kept_open_does_not_hold_the_probe_up() -> None:
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", then_close=False) as (port, _):
        assert (await look(get(port))).success


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n", b"HTTP/1.1\r\n", b"HTTP/1.1 abc\r\n", b"x" * 20_000])
async def test_an_answer_that_is_not_http_is_a_failure(answer: bytes) -> None:
    async with server(answer) as (port, _):
        outcome = await look(get(port))
    assert not outcome.success
    assert outcome.message.startswith(f'Get "http://127.0.0.1:{port}/healthz": ')


async def test_silence_is_a_failure_when_the_time_is_up() -> None:
    async with server(b"", then_close=False) as (port, _):
        outcome = await look(get(port), timeout_seconds=0.05)
    assert outcome.message.endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_refused_connection_reads_as_go_prints_it() -> None:
    port = closed_port()
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert (await look(get(port))).message == f'Get "http://127.0.0.1:{port}/healthz": {refused}'
    assert (await look({"tcpSocket": {"port": port}})).message == refused


async def test_an_open_port_satisfies_a_tcp_probe() -> None:
    async with server(b"") as (port, _):
        assert (await look({"tcpSocket": {"port": port}})).success


async def test_a_command_decides_by_its_exit_code() -> None:
    target = Target()
    probe = {"exec": {"command": ["check", "it"]}}
    assert (await look(probe, target)).success
    assert target.executed == [["check", "it"]]
    target.result = (1, "sick\n")
    assert await look(probe, target) == Outcome(success=False, message="sick\n")
    target.result = TimeoutError
    assert (await look(probe, target)).message == 'command timed out: "check it" timed out after 5s'


@pytest.mark.parametrize(("port", "number"), [(80, 80), ("80", 80), ("http", 8080), ("absent", 0), (None, 0)])
def test_a_port_is_a_number_or_a_name_of_the_container(port: object, number: int) -> None:
    assert find_port(port, {"ports": [{"name": "http", "containerPort": 8080}]}) == number
