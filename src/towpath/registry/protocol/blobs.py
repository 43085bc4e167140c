"""Blob endpoints: read (whole, in part, or only the headers) and delete."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from towpath.http.direct import content, find_direct
from towpath.oci.challenge import DELETE, PULL
from towpath.oci.errors import ErrorCode
from towpath.registry.blobs import Blobs
from towpath.registry.errors import RegistryError
from towpath.registry.protocol.exchange import API_VERSION, Exchange, answer
from towpath.registry.storage.reading import BlobReader

_RANGE = re.compile(r"bytes=([0-9]{0,64})-([0-9]{0,64})")
OCTETS = "application/octet-stream"


class BlobResponse(Response):
    """Sends a blob, the direct way if there is one. A damaged one ends early: the client sees a broken transfer."""

    def __init__(self, status: int, headers: Mapping[str, str], blobs: Blobs, reader: BlobReader) -> None:
        super().__init__(None, status, {**API_VERSION, **headers}, OCTETS)
        self._blobs = blobs
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        reader = self._reader
        if find_direct(scope):
            await send(content(reader, start=reader.start, stop=reader.stop, run=self._blobs.run))
        elif not await self._send_pieces(receive, send):
            return
        await send({"type": "http.response.body", "body": b""})

    async def _send_pieces(self, receive: Receive, send: Send) -> bool:
        """Send it piece by piece; False when the client went away."""
        # The server swallows what is sent to nobody, so the disk would be read to the end in vain.
        gone = asyncio.create_task(_wait_until_gone(receive))
        try:
            async with aclosing(self._blobs.read(self._reader)) as pieces:
                async for piece in pieces:
                    if gone.done():
                        return False
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            gone.cancel()
        return True


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
    # Before the first header: a missing file, or a small damaged one, is a 500 and no broken transfer.
    reader = await blobs.open(digest, size=size, start=start, stop=stop)
    return BlobResponse(200 if part is None else 206, headers, blobs, reader)


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
