"""An application that takes and sends large contents, as the registry does, without one: for tests of the way there.

`PUT` takes the body and answers with its digest; `GET /N` sends N bytes of `content_of(N)`. Two workers move it all.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from towpath.errors import RefusedError, TowpathError
from towpath.http.body import BodyTooSlowError, Patience
from towpath.http.direct import content, find_direct
from towpath.http.pouring import RequestBody
from towpath.http.server import Listener

T = TypeVar("T")
_PATTERN = hashlib.shake_256(b"pattern").digest(65_521)  # a prime, so that no two pieces of a power of two are alike


def content_of(size: int) -> bytes:
    """Bytes in which a piece that is lost, doubled or misplaced is seen."""
    return (_PATTERN * (size // len(_PATTERN) + 1))[:size]


class Pattern:
    """The contents of `content_of`; each third 300 kB is not in memory, nor any of which a test is told."""

    def __init__(self, filling: Callable[[int], None] | None = None) -> None:
        self._filling = filling

    def fill(self, buffer: memoryview, position: int) -> int:
        """Write the pattern."""
        if self._filling:
            self._filling(position)
        for start in range(0, len(buffer), len(_PATTERN)):
            shift = (position + start) % len(_PATTERN)
            piece = (_PATTERN[shift:] + _PATTERN[:shift])[: len(buffer) - start]
            buffer[start : start + len(piece)] = piece
        return len(buffer)

    def fill_now(self, buffer: memoryview, position: int) -> int:
        """Write the pattern, unless that takes a worker."""
        if self._filling or position // 300_000 % 3 == 2:
            raise BlockingIOError
        return self.fill(buffer, position)


class ContentsApp:
    """The application, and what became of its requests.

    Attributes:
        begun: how many there were.
        errors: what bodies ended with, but for their ends.
        direct_bytes: of bodies and answers, past the event loop.
        enough: after so many bytes of a body it fails.
        filling: called before each piece of an answer, in the worker; then nothing is sent from the event loop.
    """

    def __init__(self, *, patience: Patience | None = None, enough: int | None = None) -> None:
        self.begun = 0
        self.errors: list[TowpathError] = []
        self.direct_bytes = 0
        self.enough = enough
        self.filling: Callable[[int], None] | None = None
        self.patience = patience or Patience()
        self.workers = ThreadPoolExecutor(2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        self.begun += 1
        direct = find_direct(scope)
        try:
            if scope["method"] == "PUT":
                await self._take(scope, receive, send)
            else:
                await self._give(int(scope["path"].strip("/")), scope, send)
        finally:
            if direct:
                self.direct_bytes += direct.received + direct.sent

    async def run(self, work: Callable[[], T]) -> T:
        """Have a worker do it."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, work)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        hasher, taken = hashlib.sha256(), 0

        def take(pieces: Iterable[bytes | memoryview]) -> None:
            nonlocal taken
            for piece in pieces:
                taken += len(piece)
                if self.enough is not None and taken > self.enough:
                    raise RefusedError("that is enough")
                hasher.update(piece)

        status, text, headers = 200, "", {}
        try:
            await RequestBody(Request(scope, receive), limit=None, patience=self.patience).pour(take, run=self.run)
            text = hasher.hexdigest()
        except TowpathError as error:
            self.errors.append(error)
            status, text = 507, error.message
            if isinstance(error, BodyTooSlowError):
                status, headers = 408, {"Connection": "close"}
        await PlainTextResponse(text, status, headers)(scope, receive, send)

    async def _give(self, size: int, scope: Scope, send: Send) -> None:
        length = str(size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        if find_direct(scope):
            await send(content(Pattern(self.filling), start=0, stop=size, run=self.run))
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": content_of(size)})


@asynccontextmanager
async def serve_contents(
    app: ContentsApp, *, certificate: Path | None = None, key: Path | None = None, grace_seconds: float = 0.5
) -> AsyncIterator[Listener]:
    """Serve it until the block ends; then no worker is left at anything."""
    listener = Listener(app, certificate=certificate, key=key, grace_seconds=grace_seconds)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.close()
        app.workers.shutdown()
