"""That this is a registry, and its lists: tags of a repository, repositories of the caller, referrers of a manifest."""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.responses import Response

from towpath.oci import media
from towpath.oci.challenge import PULL
from towpath.oci.errors import ErrorCode
from towpath.registry.errors import RegistryError
from towpath.registry.protocol.exchange import Exchange, answer, answer_json

# 1000: a page of tags that every client can hold; more are linked.
PAGE_LIMIT = 1000


async def say_version(_: Exchange) -> Response:
    """GET /v2/: this is a registry, and the caller is known to it."""
    return answer_json({})


async def list_tags(exchange: Exchange) -> Response:
    """GET tags/list: in byte order, `n` at a time, those after `last`."""
    exchange.require(PULL)
    limit, after = _page(exchange)
    registry, repository = exchange.registry, exchange.repository
    # Of a copy, those of its upstream: what is kept are the few that were pulled.
    page = await registry.pull_through.find_tags(repository, after=after, limit=limit) if limit else None
    tags, more = page or registry.manifests.tags(repository, after=after, limit=limit)
    headers = _link(exchange.location("tags/list"), tags, limit) if more else {}
    return answer_json({"name": exchange.repository, "tags": tags}, headers)


async def list_repositories(exchange: Exchange) -> Response:
    """GET _catalog: the repositories that the caller may pull from."""
    exchange.require_listing()
    limit, after = _page(exchange)
    caller = exchange.caller
    names, more = exchange.registry.manifests.repositories(
        lambda name: caller.may_list(name, PULL), after=after, limit=limit
    )
    return answer_json({"repositories": names}, _link("/v2/_catalog", names, limit) if more else {})


async def list_referrers(exchange: Exchange) -> Response:
    """GET referrers: an index of what points to a manifest as its subject; empty when nothing does."""
    exchange.require(PULL)
    digest = exchange.digest(exchange.parts["digest"])
    query = exchange.request.query_params
    artifact_type = query.get("artifactType", "")
    body, last = exchange.registry.manifests.referrers(
        exchange.repository, digest, artifact_type=artifact_type, after=query.get("last", "")
    )
    headers = {"Content-Type": media.OCI_INDEX}
    if artifact_type:
        headers["OCI-Filters-Applied"] = "artifactType"
    if last:
        following = {"artifactType": artifact_type, "last": last} if artifact_type else {"last": last}
        headers["Link"] = _next(exchange.location(f"referrers/{digest}"), following)
    return answer(200, headers, body=body)


def _page(exchange: Exchange) -> tuple[int, str]:
    query = exchange.request.query_params
    text = query.get("n", str(PAGE_LIMIT))
    if not text.isdecimal():
        message = f"n is not a number of entries: got {text[:32]!r}"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=400)
    # Python reads no number of very many digits; this one is more than a page anyhow.
    limit = PAGE_LIMIT if len(text) > 9 else min(int(text), PAGE_LIMIT)
    return limit, query.get("last", "")


def _link(path: str, names: list[str], limit: int) -> dict[str, str]:
    # A page of none has no last entry to go on from.
    if not names:
        return {}
    return {"Link": _next(path, {"n": str(limit), "last": names[-1]})}


def _next(path: str, query: Mapping[str, str]) -> str:
    return f'<{path}?{urlencode(query)}>; rel="next"'
