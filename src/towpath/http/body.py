"""Request bodies with a bound, so that no client decides how much memory the platform uses, or for how long."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from towpath.errors import RemoteError, UserError

T = TypeVar("T")


class BodyTooLargeError(UserError):
    """The body is longer than the route allows; answer with `status`."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"request body is too large (TooLarge): at most {limit} bytes are accepted")
        self.limit = limit


class BodyTooSlowError(UserError):
    """The client sends too little for the time it takes; answer with `status`, and close the connection."""

    status = 408

    def __init__(self, received: int, seconds: float) -> None:
        super().__init__(f"request body is too slow (TooSlow): {received} bytes arrived in {seconds:.0f} seconds")


class BodyInterruptedError(RemoteError):
    """The client went away in the middle of its request."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How slow a sender may be. Only time spent waiting for it counts, not what is done with the pieces.

    Attributes:
        pause_seconds: the longest wait for a piece.
        grace_seconds: so long nobody is asked for a rate.
        least_bytes_per_second: the average after that.
    """

    pause_seconds: float = 60.0
    grace_seconds: float = 60.0
    # 1 KiB/s: slower than any line that people push images over.
    least_bytes_per_second: float = 1024.0


class Arrival:
    """The body of one request as it arrives, within bounds.

    Attributes:
        received: how many bytes have arrived.
    """

    def __init__(self, request: Request, *, limit: int | None = None, patience: Patience | None = None) -> None:
        """Expect `limit` bytes at most, however many without one; without `patience`, however long they take."""
        self.received = 0
        self._request = request
        self._limit = limit
        self._patience = patience
        self._waited = 0.0
        self._has_ended = False

    def check_declared(self) -> None:
        """Raises BodyTooLargeError: what the client says that it will send is too long."""
        declared = self._request.headers.get("content-length", "")
        if self._limit is not None and declared.isdecimal() and int(declared) > self._limit:
            raise BodyTooLargeError(self._limit)

    async def next_piece(self) -> bytes | None:
        """The next piece, of any length; None at the end.

        Raises:
            BodyTooLargeError: the piece passes the limit.
            BodyTooSlowError: the sender's pause is too long, or its rate too low.
            BodyInterruptedError: the client went away.
        """
        if self._has_ended:
            return None
        message = await self.wait(self._request.receive())
        if message["type"] == "http.disconnect":
            raise self.interrupted()
        piece: bytes = message.get("body", b"")
        self._has_ended = not message.get("more_body", False)
        self.count(len(piece))
        return piece

    async def wait(self, event: Awaitable[T]) -> T:
        """Wait for the client. Raises BodyTooSlowError."""
        if self._patience is None:
            return await event
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self._patience.pause_seconds):
                happened = await event
        except TimeoutError as error:
            raise BodyTooSlowError(self.received, self._waited + self._patience.pause_seconds) from error
        self._waited += time.monotonic() - asked
        return happened

    def count(self, size: int) -> None:
        """So many bytes have arrived. Raises BodyTooLargeError, BodyTooSlowError."""
        self.received += size
        if self._limit is not None and self.received > self._limit:
            raise BodyTooLargeError(self._limit)
        patience = self._patience
        is_timed = patience is not None and self._waited > patience.grace_seconds
        if patience and is_timed and self.received < self._waited * patience.least_bytes_per_second:
            raise BodyTooSlowError(self.received, self._waited)

    def interrupted(self) -> BodyInterruptedError:
        """The error that says that the client went away."""
        return BodyInterruptedError(f"request body ended early (Disconnected): {self.received} bytes arrived")


async def stream_body(
    request: Request, *, limit: int | None = None, patience: Patience | None = None
) -> AsyncIterator[bytes]:
    """The body in pieces as they arrive; without `patience`, however long they take.

    Raises:
        BodyTooLargeError: before a piece that would pass `limit` is handed out; early when the length is declared.
        BodyTooSlowError: the sender's pause is too long, or its rate too low.
        BodyInterruptedError: the client went away.
    """
    arrival = Arrival(request, limit=limit, patience=patience)
    arrival.check_declared()
    while (piece := await arrival.next_piece()) is not None:
        if piece:
            yield piece


# What is read whole is small, so nobody needs longer for it.
_DEFAULT_PATIENCE = Patience()


async def read_body(request: Request, *, limit: int, patience: Patience = _DEFAULT_PATIENCE) -> bytes:
    """The whole body. Raises as `stream_body`."""
    return b"".join([piece async for piece in stream_body(request, limit=limit, patience=patience)])
