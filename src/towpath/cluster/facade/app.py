"""The ASGI application of the Kubernetes API: who asks, what for, may they, and the answer.

Every refusal is a `Status` document. `/livez`, `/readyz` and `/version` answer without a token, as upstream's do.
"""

import logging
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from towpath import __version__
from towpath.aio.clock import Clock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.facade import discovery
from towpath.cluster.facade.authentication import Authenticator
from towpath.cluster.facade.authorization import Authorizer
from towpath.cluster.facade.openapi import OpenApi
from towpath.cluster.facade.paths import parse_request
from towpath.cluster.facade.streaming import PodLogs
from towpath.cluster.facade.verbs import JSON, Verbs, require_method
from towpath.cluster.kernel.kernel import Kernel
from towpath.kube.errors import ApiError, ApiNotFoundError

log = logging.getLogger(__name__)

# kubectl asks for version 2 when version 3 lacks a kind, reads protobuf only, and needs an answer to say "no matches
# for kind" instead of "download failed". This is a document without definitions: field 1, `swagger`, is "2.0".
OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
EMPTY_OPENAPI_V2 = b"\n\x032.0"


class Facade:
    """Answers HTTP requests from a kernel."""

    def __init__(
        self, kernel: Kernel, *, authenticator: Authenticator, logs: PodLogs, openapi: OpenApi, clock: Clock
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = Authorizer(EmbeddedClient(kernel))
        self._verbs = Verbs(kernel, logs=logs, clock=clock)
        self._openapi = openapi

    async def handle(self, request: Request) -> Response:
        """One request."""
        try:
            return await self._respond(request)
        except ApiError as error:
            headers = {"WWW-Authenticate": "Bearer"} if error.code == 401 else None
            return Response(orjson.dumps(error.status()), error.code, headers, JSON)
        except Exception:
            log.exception("%s %s failed", request.method, request.url.path)
            failure = ApiError("Internal error occurred: see the log of the platform")
            return Response(orjson.dumps(failure.status()), failure.code, media_type=JSON)

    async def _respond(self, request: Request) -> Response:
        path = request.url.path
        if path in {"/livez", "/readyz", "/healthz"}:
            return PlainTextResponse("ok")
        if path == "/version":
            return _json(discovery.version_info(__version__))
        user = await self._authenticator.authenticate(request.headers.get("authorization", ""))
        document = self._find_document(request)
        if document is not None:
            require_method(request.method, ("GET", "HEAD"))
            return document
        asked = parse_request(request.method, path, request.query_params)
        await self._authorizer.require(user, asked)
        return await self._verbs.respond(request, asked)

    def _find_document(self, request: Request) -> Response | None:
        """Discovery and schemas: what any authenticated user may read."""
        parts = request.url.path.strip("/").split("/")
        aggregated = "as=APIGroupDiscoveryList" in request.headers.get("accept", "") and len(parts) == 1
        match parts:
            case ["api"] | ["apis"] if aggregated:
                content = orjson.dumps(discovery.aggregated(core=parts == ["api"]))
                return Response(content, headers={"Content-Type": discovery.AGGREGATED})
            case ["api"]:
                return _json(discovery.api_versions(request.url.netloc))
            case ["apis"]:
                return _json(discovery.api_groups())
            case ["api", version]:
                return _json(discovery.resource_list("", version))
            case ["apis", group]:
                return _json(discovery.api_group(group))
            case ["apis", group, version]:
                return _json(discovery.resource_list(group, version))
            case ["openapi", *rest]:
                return self._schema(rest)
        return None

    def _schema(self, parts: list[str]) -> Response:
        match parts:
            case ["v2"]:
                return Response(EMPTY_OPENAPI_V2, headers={"Content-Type": OPENAPI_V2})
            case ["v3"]:
                return _json(self._openapi.index())
            case ["v3", "api", version]:
                return Response(self._openapi.document("", version), media_type=JSON)
            case ["v3", "apis", group, version]:
                return Response(self._openapi.document(group, version), media_type=JSON)
        raise ApiNotFoundError("the server could not find the requested resource")


def create_facade(
    kernel: Kernel, *, authenticator: Authenticator, logs: PodLogs, openapi: OpenApi, clock: Clock
) -> Starlette:
    """The application."""
    facade = Facade(kernel, authenticator=authenticator, logs=logs, openapi=openapi, clock=clock)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(routes=[Route("/{path:path}", facade.handle, methods=methods)])


def _json(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), media_type=JSON)
