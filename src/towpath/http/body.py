"""Request bodies with a bound, so that no client decides how much memory the platform uses."""

from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from towpath.errors import RemoteError, UserError


class BodyTooLargeError(UserError):
    """The body is longer than the route allows; answer with `status`."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"request body is too large (TooLarge): at most {limit} bytes are accepted")
        self.limit = limit


class BodyInterruptedError(RemoteError):
    """The client went away in the middle of its request."""


async def stream_body(request: Request, *, limit: int | None = None) -> AsyncIterator[bytes]:
    """The body in pieces as they arrive.

    Raises:
        BodyTooLargeError: before a piece that would pass `limit` is handed out; early when the length is declared.
        BodyInterruptedError: the client went away.
    """
    declared = request.headers.get("content-length", "")
    if limit is not None and declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError(limit)
    received = 0
    try:
        async for piece in request.stream():
            received += len(piece)
            if limit is not None and received > limit:
                raise BodyTooLargeError(limit)
            if piece:
                yield piece
    except ClientDisconnect as error:
        raise BodyInterruptedError(f"request body ended early (Disconnected): {received} bytes arrived") from error


async def read_body(request: Request, *, limit: int) -> bytes:
    """The whole body. Raises as `stream_body`."""
    return b"".join([piece async for piece in stream_body(request, limit=limit)])
