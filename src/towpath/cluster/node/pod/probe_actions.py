"""One look at a container: an HTTP request, a TCP connection or a command, with the kubelet's words for a failure."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from towpath.cluster.node.pod.restarts import format_elapsed
from towpath.kube.objects import Object

# 10 KiB: the kubelet's own limit of what it reads of an answer; only the status line counts.
_ANSWER_BYTES = 10 * 1024
_SUCCESS = range(200, 400)
DEFAULT_USER_AGENT = "kube-probe/1.37"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe found; `message` is why it failed."""

    success: bool
    message: str = ""


class ProbeTarget(Protocol):
    """The container as a probe reaches it."""

    @property
    def address(self) -> str:
        """The pod's IP."""
        ...

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected TCP socket, made in the pod's network. Raises OSError."""
        ...

    async def execute(self, command: Sequence[str], *, timeout_seconds: float) -> tuple[int, str]:
        """Run a command in the container; exit code and output. Raises TimeoutError, SandboxError."""
        ...


def make_action(
    probe: Mapping[str, Any], container: Object, target: ProbeTarget, *, timeout_seconds: float
) -> Callable[[], Awaitable[Outcome]]:
    """What to do for one look, from a probe's specification."""
    if probe.get("exec"):
        command = list(probe["exec"].get("command") or [])
        return lambda: _execute(target, command, timeout_seconds)
    if probe.get("tcpSocket"):
        host = probe["tcpSocket"].get("host") or ""
        port = find_port(probe["tcpSocket"].get("port"), container)
        return lambda: _connect(target, host, port, timeout_seconds)
    request = _HttpRequest.parse(probe.get("httpGet") or {}, container)
    return lambda: _get(target, request, timeout_seconds)


def find_port(port: Any, container: Object) -> int:
    """A port by number or by the name it has in the container; 0 if there is none such."""
    if isinstance(port, int) or str(port).isdecimal():
        return int(port)
    return next((int(p["containerPort"]) for p in container.get("ports") or [] if p.get("name") == port), 0)


@dataclass(frozen=True, slots=True)
class _HttpRequest:
    host: str
    port: int
    path: str
    headers: Mapping[str, str]
    secure: bool

    @classmethod
    def parse(cls, spec: Mapping[str, Any], container: Object) -> "_HttpRequest":
        path = spec.get("path") or "/"
        return cls(
            spec.get("host") or "",
            find_port(spec.get("port"), container),
            path if path.startswith("/") else f"/{path}",
            {header["name"]: header.get("value", "") for header in spec.get("httpHeaders") or []},
            str(spec.get("scheme") or "HTTP").upper() == "HTTPS",
        )

    def url(self, host: str) -> str:
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"

    def content(self, host: str) -> bytes:
        headers = {"Host": f"{host}:{self.port}", "User-Agent": DEFAULT_USER_AGENT, "Accept": "*/*"}
        for name, value in {**self.headers, "Connection": "close"}.items():
            headers = {known: text for known, text in headers.items() if known.lower() != name.lower()}
            headers[name] = value
        lines = [f"GET {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="replace")


async def _get(target: ProbeTarget, request: _HttpRequest, timeout_seconds: float) -> Outcome:
    host = request.host or target.address
    try:
        async with asyncio.timeout(timeout_seconds):
            status = await _fetch_status(target, request, host)
    except TimeoutError:
        exceeded = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Outcome(success=False, message=f'Get "{request.url(host)}": {exceeded}')
    except OSError as error:
        return Outcome(success=False, message=f'Get "{request.url(host)}": {_describe(error, host, request.port)}')
    if status in _SUCCESS:
        return Outcome(success=True)
    return Outcome(success=False, message=f"HTTP probe failed with statuscode: {status}")


async def _fetch_status(target: ProbeTarget, request: _HttpRequest, host: str) -> int:
    """The status code of the answer. Raises OSError."""
    connected = await target.connect(host, request.port)
    context = None
    if request.secure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # as a kubelet: the pod's certificate names anything
    try:
        reader, writer = await asyncio.open_connection(
            sock=connected, ssl=context, server_hostname="" if context else None, limit=_ANSWER_BYTES
        )
    except BaseException:
        connected.close()
        raise
    try:
        writer.write(request.content(host))
        await writer.drain()
        line = await reader.readline()
    except ValueError as error:
        raise ConnectionError("malformed HTTP response") from error
    finally:
        # Not waited for: the peer may take its time, and nothing more is sent.
        writer.transport.abort()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await writer.wait_closed()
    parts = line.split()
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        raise ConnectionError("EOF" if not line else "malformed HTTP response")
    return int(parts[1])


async def _connect(target: ProbeTarget, host: str, port: int, timeout_seconds: float) -> Outcome:
    host = host or target.address
    try:
        async with asyncio.timeout(timeout_seconds):
            connected = await target.connect(host, port)
    except TimeoutError:
        return Outcome(success=False, message=f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Outcome(success=False, message=_describe(error, host, port))
    connected.close()
    return Outcome(success=True)


async def _execute(target: ProbeTarget, command: Sequence[str], timeout_seconds: float) -> Outcome:
    try:
        code, output = await target.execute(command, timeout_seconds=timeout_seconds)
    except TimeoutError:
        shown = " ".join(command)
        message = f'command timed out: "{shown}" timed out after {format_elapsed(timeout_seconds)}'
        return Outcome(success=False, message=message)
    return Outcome(success=code == 0, message=output)


def _describe(error: OSError, host: str, port: int) -> str:
    if error.errno is None:
        return str(error)
    words = os.strerror(error.errno)  # asyncio puts words of its own into the error
    return f"dial tcp {host}:{port}: connect: {words[:1].lower()}{words[1:]}"
