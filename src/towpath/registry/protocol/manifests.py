"""Manifest endpoints: read, push (by tag, or by digest with tags), delete."""

import logging

from starlette.responses import Response

from towpath.http.body import BodyTooLargeError, read_body
from towpath.oci.challenge import DELETE, PULL, PUSH
from towpath.oci.errors import ErrorCode
from towpath.oci.reference import InvalidReferenceError, parse_tag
from towpath.registry.errors import RegistryError
from towpath.registry.manifests import AcceptedManifest
from towpath.registry.protocol.blobs import matches_etag
from towpath.registry.protocol.exchange import Exchange, PushEvent, answer

log = logging.getLogger(__name__)

# 4 MiB: what the specification asks a registry to take at least; a larger one is a mistake or an attack.
MANIFEST_LIMIT = 4 * 1024 * 1024


async def read_manifest(exchange: Exchange) -> Response:
    """GET and HEAD: the manifest as pushed, with the media type it was pushed with."""
    exchange.require(PULL)
    manifest = exchange.registry.manifests.get(exchange.repository, _known_reference(exchange))
    digest = str(manifest.digest)
    headers = {"Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
    if matches_etag(exchange.request.headers.get("if-none-match", ""), digest):
        return answer(304, headers)
    # Set by hand: for other media types Starlette would add a charset.
    headers["Content-Type"] = manifest.media_type
    return answer(200, headers, body=manifest.content)


async def push_manifest(exchange: Exchange) -> Response:
    """PUT: store the manifest and set its tags."""
    exchange.require(PUSH)
    request = exchange.request
    reference = exchange.parts["reference"]
    by_digest = ":" in reference
    asked = request.query_params.getlist("tag")
    if asked and not by_digest:
        message = f"tag parameters are for a push by digest: got tag {reference[:128]} and {len(asked)} more"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=400)
    tags = [_tag(tag) for tag in asked] if by_digest else [_tag(reference)]
    digest = exchange.digest(reference) if by_digest else None
    try:
        content = await read_body(request, limit=MANIFEST_LIMIT, patience=exchange.patience)
    except BodyTooLargeError as error:
        raise RegistryError(ErrorCode.SIZE_INVALID, error.message, status=error.status) from error
    accepted = await exchange.registry.manifests.put(
        exchange.repository,
        content,
        media_type=request.headers.get("content-type", ""),
        digest=digest,
        tags=tags,
        # The grant decides and not the token: clients ask for tokens by repository, and know of no set's services.
        may_read=lambda name: exchange.caller.may_list(name, PULL),
    )
    await _announce(exchange, accepted, media_type=request.headers.get("content-type", ""), size=len(content))
    stored = str(accepted.digest)
    headers = {"Location": exchange.location(f"manifests/{stored}"), "Docker-Content-Digest": stored}
    if accepted.subject:
        headers["OCI-Subject"] = accepted.subject
    response = answer(201, headers)
    for tag in asked if by_digest else ():
        response.headers.append("OCI-Tag", tag)
    return response


async def delete_manifest(exchange: Exchange) -> Response:
    """DELETE: a tag, or a manifest with all its tags."""
    exchange.require(DELETE)
    await exchange.registry.manifests.delete(exchange.repository, _known_reference(exchange))
    return answer(202)


async def _announce(exchange: Exchange, accepted: AcceptedManifest, *, media_type: str, size: int) -> None:
    """Tell the listener of each tag that was set; the push is done, so its failure is logged and not the client's."""
    if exchange.on_push is None:
        return
    for move in accepted.moves:
        event = PushEvent(exchange.repository, move.tag, move.after, move.before, media_type, size, exchange.origin())
        try:
            await exchange.on_push(event)
        except Exception:
            log.exception("the listener for pushes failed on %s:%s", exchange.repository, move.tag)


def _known_reference(exchange: Exchange) -> str:
    """A digest, or a tag that a manifest may have; no manifest has any other."""
    reference = exchange.parts["reference"]
    if ":" in reference:
        return str(exchange.digest(reference))
    try:
        return parse_tag(reference)
    except InvalidReferenceError as error:
        raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, error.problem, detail=reference[:256]) from error


def _tag(text: str) -> str:
    """A tag to be set."""
    try:
        return parse_tag(text)
    except InvalidReferenceError as error:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, error.problem, detail=text[:256]) from error
