"""How requests come to the registry's endpoints: beside Starlette's ways, which do at each request what none needs.

A manifest is asked for more often than anything else. Starlette's own route and endpoint cost it a tenth of its time,
for patterns, converters and exception handlers, of which the registry has its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import URLPath
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send


class Served:
    """An ASGI application of what answers every request, failures included."""

    def __init__(self, serve: Callable[[Request], Awaitable[Response]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._serve(Request(scope, receive, send))
        await response(scope, receive, send)


class Below(BaseRoute):
    """Everything at and below `/v2`, of any method: what is not supported is refused in the specification's form, too.

    A path may hold whatever a client likes, line ends included; nothing is sent away without a look at who asks.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope["path"] if scope["type"] == "http" else ""
        if path != "/v2" and not path.startswith("/v2/"):
            return Match.NONE, {}
        return Match.FULL, {"path_params": {"path": path[len("/v2/") :]}}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
