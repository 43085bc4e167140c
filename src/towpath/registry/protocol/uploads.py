"""Upload endpoints: begin (or mount, or all in one POST), send a chunk or a stream, ask, finish, cancel.

Clients send one PATCH without `Content-Range` most of the time, with a length or chunked; a PATCH with a range must
begin where the session ends, else 416 with the true range, so that the client can go on without asking.
"""

import re

from starlette.responses import Response

from towpath.http.body import BodyTooLargeError
from towpath.oci.challenge import PULL, PUSH
from towpath.oci.digest import HEX_LENGTHS
from towpath.oci.errors import ErrorCode
from towpath.oci.reference import InvalidReferenceError, parse_repository
from towpath.registry.errors import RegistryError
from towpath.registry.protocol.exchange import Exchange, answer
from towpath.registry.storage.uploads import Upload

# `bytes=` and a total are not in the specification's form, but clients send them.
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]{1,64})-([0-9]{1,64})(?:/(?:[0-9]{1,64}|\*))?")


async def start_upload(exchange: Exchange) -> Response:
    """POST: mount another repository's blob, take the whole content at once, or open a session."""
    exchange.require(PUSH)
    query = exchange.request.query_params
    if "mount" in query:
        mounted = await _mount(exchange, query["mount"], query.get("from", ""))
        if mounted:
            return mounted
    digest = exchange.digest(query["digest"]) if "digest" in query else None
    _check_algorithm(query.get("digest-algorithm", "sha256"))
    upload = await exchange.registry.blobs.start_upload(exchange.repository)
    if digest is None:
        return _progress(exchange, upload, 202)
    async with upload.lock:
        try:
            await exchange.registry.blobs.append(upload, exchange.body())
        except BaseException:
            # The client never learned of this session, so nobody could go on with it.
            await exchange.registry.blobs.cancel_upload(upload)
            raise
        await exchange.registry.blobs.finish_upload(exchange.repository, upload, digest)
    return _created(exchange, str(digest))


async def append_chunk(exchange: Exchange) -> Response:
    """PATCH: add to a session."""
    exchange.require(PUSH)
    upload = await _get(exchange)
    async with upload.lock:
        _check_open(exchange, upload)
        await _append(exchange, upload)
        return _progress(exchange, upload, 202)


async def finish_upload(exchange: Exchange) -> Response:
    """PUT: add what the body holds, then make it a blob."""
    exchange.require(PUSH)
    text = exchange.request.query_params.get("digest", "")
    digest = exchange.digest(text)
    upload = await _get(exchange)
    async with upload.lock:
        _check_open(exchange, upload)
        await _append(exchange, upload)
        await exchange.registry.blobs.finish_upload(exchange.repository, upload, digest)
    return _created(exchange, str(digest))


async def show_upload(exchange: Exchange) -> Response:
    """GET: how much has arrived."""
    exchange.require(PUSH)
    return _progress(exchange, await _get(exchange), 204)


async def cancel_upload(exchange: Exchange) -> Response:
    """DELETE: end a session."""
    exchange.require(PUSH)
    upload = await _get(exchange)
    async with upload.lock:
        await exchange.registry.blobs.cancel_upload(upload)
    return answer(204)


async def _mount(exchange: Exchange, text: str, source: str) -> Response | None:
    """The answer to a mount; None when there is nothing to mount, and an upload begins instead.

    A source that the caller may not read looks exactly like one that does not have the blob. Without a source, the
    repositories that the caller may read are searched.
    """
    digest = exchange.digest(text)
    blobs, caller = exchange.registry.blobs, exchange.caller
    try:
        sources = [parse_repository(source)] if source else blobs.holders(digest)
    except InvalidReferenceError:
        return None
    for name in sources:
        # Only a source that was named can be asked for in a challenge.
        may_read = exchange.may_mount(name) if source else caller.may(PULL, name)
        if may_read and await blobs.mount(exchange.repository, digest, name):
            return _created(exchange, str(digest))
    return None


async def _get(exchange: Exchange) -> Upload:
    return await exchange.registry.blobs.get_upload(exchange.repository, exchange.parts["session"])


async def _append(exchange: Exchange, upload: Upload) -> None:
    request = exchange.request
    expected = _find_length(exchange, upload, request.headers.get("content-range", ""))
    declared = request.headers.get("content-length", "")
    if expected is not None and declared.isdecimal() and int(declared) != expected:
        raise _wrong_length(expected, f"Content-Length {declared[:32]}")
    start = upload.offset
    try:
        await exchange.registry.blobs.append(upload, exchange.body(limit=expected))
    except BodyTooLargeError as error:
        raise _wrong_length(expected or 0, "more") from error
    if expected is not None and upload.offset - start != expected:
        raise _wrong_length(expected, f"{upload.offset - start}")


def _check_open(exchange: Exchange, upload: Upload) -> None:
    # The session may have ended while this request waited for its lock.
    if upload.ended:
        raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, f"upload {upload.id} is not known in {exchange.repository}")


def _check_algorithm(name: str) -> None:
    if name not in HEX_LENGTHS:
        message = f"digest algorithm {name[:32]!r} is not {' or '.join(HEX_LENGTHS)}"
        raise RegistryError(ErrorCode.DIGEST_INVALID, message)


def _find_length(exchange: Exchange, upload: Upload, content_range: str) -> int | None:
    """How many bytes a chunk says it has; None when it does not say. It must begin where the session ends."""
    if not content_range:
        return None
    matched = _CONTENT_RANGE.fullmatch(content_range.strip())
    if not matched:
        message = f"Content-Range is malformed: expected <start>-<end>, got {content_range[:64]!r}"
        raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message)
    start, end = int(matched.group(1)), int(matched.group(2))
    if start != upload.offset:
        message = f"chunk begins at {start}, expected {upload.offset}"
        headers = _progress_headers(exchange, upload)
        raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message, status=416, headers=headers)
    if end < start:
        message = f"Content-Range ends before it begins: got {content_range[:64]!r}"
        raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message)
    return end - start + 1


def _wrong_length(expected: int, got: str) -> RegistryError:
    message = f"chunk is not as long as its Content-Range: expected {expected} bytes, got {got}"
    return RegistryError(ErrorCode.SIZE_INVALID, message)


def _progress(exchange: Exchange, upload: Upload, status: int) -> Response:
    return answer(status, _progress_headers(exchange, upload))


def _progress_headers(exchange: Exchange, upload: Upload) -> dict[str, str]:
    return {
        "Location": exchange.location(f"blobs/uploads/{upload.id}"),
        "Range": f"0-{max(0, upload.offset - 1)}",
        "Docker-Upload-UUID": upload.id,
    }


def _created(exchange: Exchange, digest: str) -> Response:
    headers = {"Location": exchange.location(f"blobs/{digest}"), "Docker-Content-Digest": digest}
    return answer(201, headers)
