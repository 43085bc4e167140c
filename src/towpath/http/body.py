"""Request bodies with a bound, so that no client decides how much memory the platform uses, or for how long."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from towpath.errors import RemoteError, UserError


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


async def stream_body(
    request: Request, *, limit: int | None = None, patience: Patience | None = None
) -> AsyncIterator[bytes]:
    """The body in pieces as they arrive; without `patience`, however long they take.

    Raises:
        BodyTooLargeError: before a piece that would pass `limit` is handed out; early when the length is declared.
        BodyTooSlowError: the sender's pause is too long, or its rate too low.
        BodyInterruptedError: the client went away.
    """
    declared = request.headers.get("content-length", "")
    if limit is not None and declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError(limit)
    received = 0
    pieces = request.stream() if patience is None else _hurry(request, patience)
    try:
        async for piece in pieces:
            received += len(piece)
            if limit is not None and received > limit:
                raise BodyTooLargeError(limit)
            if piece:
                yield piece
    except ClientDisconnect as error:
        raise BodyInterruptedError(f"request body ended early (Disconnected): {received} bytes arrived") from error


# What is read whole is small, so nobody needs longer for it.
_DEFAULT_PATIENCE = Patience()


async def read_body(request: Request, *, limit: int, patience: Patience = _DEFAULT_PATIENCE) -> bytes:
    """The whole body. Raises as `stream_body`."""
    return b"".join([piece async for piece in stream_body(request, limit=limit, patience=patience)])


async def _hurry(request: Request, patience: Patience) -> AsyncIterator[bytes]:
    """The body's pieces. Raises BodyTooSlowError."""
    pieces = request.stream()
    loop = asyncio.get_running_loop()
    received, waited = 0, 0.0
    while True:
        asked = loop.time()
        try:
            async with asyncio.timeout(patience.pause_seconds):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise BodyTooSlowError(received, waited + patience.pause_seconds) from error
        received += len(piece)
        waited += loop.time() - asked
        if waited > patience.grace_seconds and received < waited * patience.least_bytes_per_second:
            raise BodyTooSlowError(received, waited)
        yield piece
