"""`/healthz`: whether the platform is ready to work, and which parts are not. Open to all: it names parts only.

200 when every part is ready, 503 while one starts or stops; either way
`{"status": "ready" | "unready", "parts": {"cluster": "ready" | "starting" | "stopping", …}}`.
"""

from collections.abc import Iterable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

READY = "ready"


class Health:
    """The readiness of the parts of one platform."""

    def __init__(self, parts: Iterable[str]) -> None:
        """All of them are starting."""
        self._parts = dict.fromkeys(parts, "starting")

    def ready(self, part: str) -> None:
        """A part has started."""
        self._parts[part] = READY

    def stopping(self) -> None:
        """The platform is on its way down."""
        self._parts = dict.fromkeys(self._parts, "stopping")

    def route(self) -> Route:
        """The route, to be mounted at the root."""
        return Route("/healthz", self._answer, methods=["GET"])

    async def _answer(self, request: Request) -> Response:
        del request
        is_ready = all(state == READY for state in self._parts.values())
        document = {"status": READY if is_ready else "unready", "parts": self._parts}
        return Response(orjson.dumps(document), 200 if is_ready else 503, media_type="application/json")
