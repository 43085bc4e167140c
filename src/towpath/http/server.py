"""A listener: one ASGI application on one address, inside the running event loop.

It drives uvicorn's protocol class directly, because uvicorn's own server takes over signals, exits the process when a
port is taken, and wakes ten times a second for ever. A request whose `Host` is neither loopback nor configured is
refused: a web page that rebinds its name to 127.0.0.1 would otherwise speak for the user.
"""

import asyncio
import contextlib
import errno
import logging
import ssl
from collections.abc import Iterable
from email.utils import formatdate
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from towpath.aio.clock import Clock, SystemClock
from towpath.errors import UserError
from towpath.http.hosts import is_loopback_host, reachable_address, split_port
from towpath.http.line import Buffers
from towpath.http.protocol import BoundedProtocol
from towpath.http.tls import ServerCertificate

log = logging.getLogger(__name__)

# 75: longer than the pauses between a client's requests, so that connections are used again.
KEEP_ALIVE_SECONDS = 75
BACKLOG = 512
ANY_HOST = "*"
GOODBYE_SECONDS = 1.0
GOODBYE_STEP_SECONDS = 0.001


class ListenError(UserError):
    """The address cannot be listened on."""


class Listener:
    """Serves an application from `start()` until `close()`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: Path | None = None,
        key: Path | None = None,
        hosts: Iterable[str] = (),
        grace_seconds: float = 2.0,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            app: the application; its lifespan is not run.
            host: the address to bind.
            port: the port to bind; 0 lets the system choose.
            certificate: with `key`, PEM files that make this a TLS listener; taken up anew when they change.
            key: see `certificate`.
            hosts: host names, beside loopback ones, that requests may name; `*` for any.
            grace_seconds: how long requests in flight may take to end when closing.
            clock: dates the responses.
        """
        self._app = app
        self._host = host
        self._port = port
        self._tls = ServerCertificate(certificate, key) if certificate and key else None
        self._hosts = frozenset(name.lower() for name in hosts) | {host.lower()}
        self._grace_seconds = grace_seconds
        self._clock = clock or SystemClock()
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._closing = False
        self._stamped = 0

    @property
    def port(self) -> int:
        """The port in use; after `start()` the one the system chose."""
        return self._port

    @property
    def address(self) -> str:
        """`host:port`, with brackets around an IPv6 host."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        return f"{'https' if self._tls else 'http'}://{reachable_address(self.address)}"

    async def start(self) -> None:
        """Listen; connections are accepted when this returns.

        Raises:
            ListenError: the port is taken, not permitted, or the certificate is unusable.
        """
        config = Config(
            self._serve,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # failures of the application are logged here, once
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.load()
        loop = asyncio.get_running_loop()

        try:
            self._server = await loop.create_server(
                partial(BoundedProtocol, config, self._state, loop, buffers=Buffers()),
                self._host,
                self._port,
                ssl=self._prepare_tls(),
                backlog=BACKLOG,
            )
        except OSError as error:
            raise self._describe(error) from error
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop accepting, let requests in flight end for the grace time, then cut them off."""
        if self._server is None:
            return
        self._closing = True
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=self._grace_seconds)
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        for connection in list(self._state.connections):
            connection.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._server.wait_closed()
                # A transport closes its socket in a later turn of the loop, TLS after some; then it leaves this set.
                while self._state.connections:  # noqa: ASYNC110 - the protocol class tells nobody when one leaves
                    await asyncio.sleep(GOODBYE_STEP_SECONDS)
        self._server = None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._stamp_date()
        host = _find_host(scope)
        if not self.permits(host):
            await _refuse(send, f"the host {host!r} is not served here\n")
            return
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._closing:
                raise
        except Exception:
            log.exception("%s %s failed", scope.get("method"), scope.get("path"))
            raise

    def permits(self, host: str) -> bool:
        """Whether a request may name this host (without its port)."""
        return host in self._hosts or is_loopback_host(host) or ANY_HOST in self._hosts

    def _stamp_date(self) -> None:
        # The protocol adds these headers to every response; the list is shared, so it is changed in place.
        second = int(self._clock.now())
        if second != self._stamped:
            self._stamped = second
            self._state.default_headers[:] = [(b"date", formatdate(second, usegmt=True).encode())]

    def _prepare_tls(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        try:
            return self._tls.context()
        except (OSError, ssl.SSLError) as error:
            raise ListenError(
                f"{self.address} cannot use its certificate (BadCertificate): {error}",
                hint=f"check {self._tls.certificate} and {self._tls.key}",
            ) from error

    def _describe(self, error: OSError) -> ListenError:
        if error.errno == errno.EADDRINUSE:
            return ListenError(
                f"{self.address} cannot be listened on (PortInUse): another program holds port {self._port}",
                hint="end that program, or choose another port (0 lets the system choose)",
            )
        if error.errno == errno.EACCES:
            return ListenError(
                f"{self.address} cannot be listened on (NotPermitted): port {self._port} is reserved for root",
                hint="choose a port above 1023",
            )
        return ListenError(f"{self.address} cannot be listened on (BadAddress): {error.strerror or error}")


def _find_host(scope: Scope) -> str:
    for name, value in scope.get("headers", ()):
        if name == b"host":
            return split_port(value.decode("latin-1"))
    return ""


async def _refuse(send: Send, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})
