"""Blob endpoints: read (whole, in part, or only the headers) and delete."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from towpath.oci.challenge import DELETE, PULL
from towpath.oci.errors import ErrorCode
from towpath.registry.errors import RegistryError
from towpath.registry.protocol.exchange import API_VERSION, Exchange, answer

_RANGE = re.compile(r"bytes=([0-9]{0,64})-([0-9]{0,64})")
OCTETS = "application/octet-stream"


class BlobResponse(Response):
    """Sends a blob piece by piece. A damaged blob ends early, so that the client sees a broken transfer."""

    def __init__(
        self, status: int, headers: Mapping[str, str], first: bytes, rest: AsyncGenerator[bytes, None]
    ) -> None:
        super().__init__(None, status, {**API_VERSION, **headers}, OCTETS)
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        """Send it; the client going away ends it at the next piece."""
        # The server swallows what is sent to nobody, so the disk would be read to the end in vain.
        gone = asyncio.create_task(_wait_until_gone(receive))
        try:
            async with aclosing(self._rest) as rest:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": self._first, "more_body": True})
                async for piece in rest:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


async def show_blob(exchange: Exchange) -> Response:
    """HEAD: whether the blob is here whole."""
    exchange.require(PULL)
    digest = exchange.digest(exchange.parts["digest"])
    size = exchange.registry.blobs.find_size(exchange.repository, digest)
    if size is None:
        raise RegistryError(ErrorCode.BLOB_UNKNOWN, f"blob {digest} is not in {exchange.repository}")
    if matches_etag(exchange.request.headers.get("if-none-match", ""), str(digest)):
        return answer(304, _headers(str(digest)))
    return answer(200, {**_headers(str(digest)), "Content-Length": str(size)}, media_type=OCTETS)


async def read_blob(exchange: Exchange) -> Response:
    """GET: the blob, or a range of it."""
    exchange.require(PULL)
    digest = exchange.digest(exchange.parts["digest"])
    blobs = exchange.registry.blobs
    size = blobs.get_size(exchange.repository, digest)
    headers = _headers(str(digest))
    request = exchange.request
    if matches_etag(request.headers.get("if-none-match", ""), str(digest)):
        return answer(304, headers)
    # A range is for who has the rest of just this content (RFC 9110, 13.1.5).
    same = request.headers.get("if-range", f'"{digest}"') == f'"{digest}"'
    part = _parse_range(request.headers.get("range", "") if same else "", size)
    if part is not None and part[0] >= part[1]:
        message = f"range {request.headers['range'][:64]!r} is outside of {size} bytes"
        raise RegistryError(ErrorCode.SIZE_INVALID, message, status=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = part or (0, size)
    headers["Content-Length"] = str(stop - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    pieces = blobs.read(digest, size=size, start=start, stop=stop)
    # The first piece before the first header: a missing file, or a small damaged one, is a 500 and no broken transfer.
    first = await anext(pieces, b"")
    return BlobResponse(200 if part is None else 206, headers, first, pieces)


async def delete_blob(exchange: Exchange) -> Response:
    """DELETE: take the blob from the repository."""
    exchange.require(DELETE)
    await exchange.registry.blobs.delete(exchange.repository, exchange.digest(exchange.parts["digest"]))
    return answer(202)


def matches_etag(header: str, digest: str) -> bool:
    """Whether an `If-None-Match` header names this content."""
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return digest in tags or "*" in tags


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(digest: str) -> dict[str, str]:
    return {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}


def _parse_range(header: str, size: int) -> tuple[int, int] | None:
    """`(start, stop)` of a single range, empty when nothing satisfies it; None for the whole (no range, or several).

    A range that ends before it begins is refused and not ignored: RFC 9110, 15.5.17 lets a server do so, and a client
    that reckons wrongly is better told than sent everything.
    """
    matched = _RANGE.fullmatch(header.strip())
    if not matched or matched.groups() == ("", ""):
        return None
    first, last = matched.groups()
    if not first:
        return max(0, size - int(last)), size if int(last) else 0
    return int(first), min(size, int(last) + 1) if last else size
