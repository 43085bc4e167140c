"""One stateless exchange between an HTTP client and a `git upload-pack` or `receive-pack` child, streamed both ways.

Nothing is held but one chunk in each direction: a pack flows from the socket into the child's pipe and back at the
pace of the slower side. The child is ended when the client goes away before the request is whole, or while it is
being sent data; a push that has arrived whole is carried out to the end, so that what the client sent is not lost to
a connection that broke while waiting for the answer.
"""

import asyncio
import contextlib
import logging
import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.types import Message, Receive, Send

from towpath.errors import RemoteError, UserError
from towpath.source import git
from towpath.source.repository import PRIVATE

log = logging.getLogger(__name__)

UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
SERVICES = (UPLOAD, RECEIVE)

# 64 KiB: the capacity of a pipe.
_CHUNK_BYTES = 64 * 1024
# 32 MiB: a negotiation about a hundred thousand refs; more is an attempt to fill memory or time.
_LARGEST_NEGOTIATION_BYTES = 32 * 1024 * 1024
# A client that sends or takes nothing for this long is gone.
_IDLE_SECONDS = 120.0
# 2 s: enough for a client on the same network to notice that it is answered.
_DISCARD_SECONDS = 2.0
# The longest a push may take to be checked and stored once it is here.
_FINISH_SECONDS = 600.0

_GONE = "the client went away (Disconnected)"

_PROTOCOL = re.compile(r"[a-zA-Z0-9=:.\-]{1,100}")


class BrokenRequestError(UserError):
    """The request cannot be carried out; the HTTP status and the message answer it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClientGoneError(RemoteError):
    """The client went away before its request was whole."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is asked of git.

    Attributes:
        repository: the bare repository.
        service: one of `SERVICES`.
        protocol: the `Git-Protocol` header.
        gzipped: whether the body is compressed.
        largest_bytes: the most a push may carry, uncompressed.
    """

    repository: Path
    service: str
    protocol: str
    gzipped: bool
    largest_bytes: int

    @property
    def limit_bytes(self) -> int:
        """The most a request body may be, uncompressed."""
        return self.largest_bytes if self.service == RECEIVE else _LARGEST_NEGOTIATION_BYTES


class Incoming:
    """A request's messages; knows whether its body is whole."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._whole = self._whole or not message.get("more_body", False)
        return message

    async def discard(self) -> None:
        """Take in what is still coming, for a while: a connection closed on unread data loses the answer before it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while not self._whole:
                    await self()


def hardening(largest_bytes: int) -> dict[str, str]:
    """The configuration every served repository is under, whatever its own file says."""
    return {
        "transfer.fsckObjects": "true",
        "transfer.hideRefs": PRIVATE.rstrip("/"),
        "receive.maxInputSize": str(largest_bytes),
        "receive.autogc": "false",
        "receive.denyDeletes": "false",
        "receive.denyNonFastForwards": "false",  # what was forced is recovered from the ledger, not forbidden
        "receive.denyDeleteCurrent": "refuse",  # the branch everything follows
        "receive.shallowUpdate": "false",
        "uploadpack.allowFilter": "true",
        "uploadpack.allowReachableSHA1InWant": "true",
        "uploadpack.keepalive": "5",
        "protocol.version": "2",
    }


async def advertise(exchange: Exchange) -> bytes:
    """The answer to `GET info/refs`.

    Raises:
        GitError: git failed.
    """
    listed = await git.run(
        None,
        exchange.service.removeprefix("git-"),
        "--stateless-rpc",
        "--advertise-refs",
        str(exchange.repository),
        config=hardening(exchange.largest_bytes),
        env=_protocol(exchange.protocol),
    )
    if "version=2" in exchange.protocol.split(":"):
        return listed.stdout  # gitprotocol-v2: without the "# service" line
    line = f"# service={exchange.service}\n"
    return f"{len(line) + 4:04x}{line}0000".encode() + listed.stdout


async def serve(exchange: Exchange, receive: Receive, send: Send) -> bool:
    """Carry out one `POST`.

    Returns:
        Whether git ended well.

    Raises:
        BrokenRequestError: it could not be carried out and nothing was answered yet.
        ClientGoneError: the client went away before the request was whole.
    """
    child = await git.spawn(
        None,
        exchange.service.removeprefix("git-"),
        "--stateless-rpc",
        str(exchange.repository),
        config=hardening(exchange.largest_bytes),
        env=_protocol(exchange.protocol),
    )
    session = _Session(exchange, child, receive, send)
    try:
        return await session.run()
    finally:
        await asyncio.shield(child.stop())


class _Session:
    """The two streams of one exchange and who ends them.

    1. Feed the request into the child until it is whole.
    2. At the same time pass on what the child says.
    3. The request is whole: a fetch ends when the client goes; a push runs on.
    4. The child has ended: finish the answer, or report what went wrong.
    """

    def __init__(self, exchange: Exchange, child: git.Child, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._child = child
        self._receive = receive
        self._send = send
        self._started = False
        self._client_gone = False

    async def run(self) -> bool:
        complaints = asyncio.create_task(self._child.stderr.read())
        answering = asyncio.create_task(self._answer())
        try:
            await self._feed()
            await self._finish(answering)
            code = await asyncio.wait_for(self._child.process.wait(), _FINISH_SECONDS)
        except TimeoutError as error:
            return self._refuse(BrokenRequestError(504, "git did not end in time"), error)
        except BrokenRequestError as error:
            return self._refuse(error, None)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            await asyncio.shield(self._child.stop())
            said = await complaints
        if said:
            log.info("%s on %s: %s", self._exchange.service, self._exchange.repository.name, git.shown_error(said))
        if code != 0 and not self._started:
            raise BrokenRequestError(500, f"{self._exchange.service} failed: {git.shown_error(said)}")
        if not self._client_gone:
            await self._start()
            await self._tell({"type": "http.response.body", "body": b"", "more_body": False})
        return code == 0

    def _refuse(self, error: BrokenRequestError, cause: Exception | None) -> bool:
        if not self._started:
            raise error from cause
        # Git is in the middle of its answer. Left incomplete, it makes the server cut the connection.
        log.info("%s on %s cut off: %s", self._exchange.service, self._exchange.repository.name, error)
        return False

    async def _feed(self) -> None:
        async for chunk in _limited(_body(self._receive), self._exchange):
            await self._child.feed(chunk)
        self._child.stdin.close()

    async def _finish(self, answering: "asyncio.Task[None]") -> None:
        pushing = self._exchange.service == RECEIVE
        leaving = asyncio.create_task(_left(self._receive))
        try:
            async with asyncio.timeout(_FINISH_SECONDS if pushing else None):
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done():
                    self._client_gone = True
                    if not pushing:
                        raise ClientGoneError(_GONE)
                await answering
        finally:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

    async def _answer(self) -> None:
        while chunk := await self._child.stdout.read(_CHUNK_BYTES):
            await self._start()
            await self._tell({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            await self._tell(
                {"type": "http.response.start", "status": 200, "headers": headers(self._exchange.service, "result")}
            )

    async def _tell(self, message: Message) -> None:
        if self._client_gone:
            return  # drained, so that a push is not held up by a full pipe
        try:
            await asyncio.wait_for(self._send(message), _IDLE_SECONDS)
        except (OSError, TimeoutError) as error:
            self._client_gone = True
            if self._exchange.service != RECEIVE:
                raise ClientGoneError(_GONE) from error


def headers(service: str, kind: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer of git's; it must never come from a cache."""
    return [
        (b"content-type", f"application/x-{service}-{kind}".encode()),
        (b"cache-control", b"no-cache, max-age=0, must-revalidate"),
        (b"x-content-type-options", b"nosniff"),
    ]


def _protocol(header: str) -> dict[str, str]:
    return {"GIT_PROTOCOL": header} if _PROTOCOL.fullmatch(header) else {}


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), _IDLE_SECONDS)
        except TimeoutError as error:
            raise BrokenRequestError(408, f"nothing was sent for {_IDLE_SECONDS:g} s") from error
        if message["type"] == "http.disconnect":
            raise ClientGoneError(_GONE)
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _limited(chunks: AsyncIterator[bytes], exchange: Exchange) -> AsyncIterator[bytes]:
    """The body, uncompressed, in pieces of bounded size, up to the limit."""
    inflate = zlib.decompressobj(wbits=31) if exchange.gzipped else None
    total = 0
    async for chunk in chunks:
        for piece in _inflated(inflate, chunk) if inflate else (chunk,):
            total += len(piece)
            if total > exchange.limit_bytes:
                raise BrokenRequestError(413, f"the request is too large: more than {exchange.limit_bytes} bytes")
            yield piece
    if inflate is not None and not inflate.eof:
        raise BrokenRequestError(400, "the compressed request ends too early")


def _inflated(inflate: "zlib._Decompress", chunk: bytes) -> list[bytes]:
    pieces = []
    try:
        while chunk:
            pieces.append(inflate.decompress(chunk, _CHUNK_BYTES))
            chunk = inflate.unconsumed_tail
    except zlib.error as error:
        raise BrokenRequestError(400, f"the compressed request is damaged: {error}") from error
    return pieces
