"""A scripted HTTP peer on loopback, for faults that no honest server has on demand.

`answers` maps `"GET /path"` to a response, or to a list of responses used one after the other (the last for ever).
Everything that arrives is kept in `requests`. An unscripted request is answered by 404.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from towpath.http.server import Listener

Answer = Response | Callable[[Request], Response]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@dataclass
class Received:
    """One request as it arrived."""

    line: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """A running peer."""

    answers: dict[str, Answer | list[Answer]]
    host: str = ""
    requests: list[Received] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """`METHOD /path` of all requests, in order."""
        return [received.line for received in self.requests]

    async def answer(self, request: Request) -> Response:
        """Answer by the script."""
        line = f"{request.method} {request.url.path}"
        body = await request.body()
        self.requests.append(Received(line, request.url.query, dict(request.headers), body))
        scripted = self.answers.get(line, Response(status_code=404))
        if isinstance(scripted, list):
            scripted = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        return scripted if isinstance(scripted, Response) else scripted(request)


@asynccontextmanager
async def serve_peer(answers: dict[str, Answer | list[Answer]] | None = None) -> AsyncIterator[Peer]:
    """Run a peer until the block ends."""
    peer = Peer(answers or {})
    app = Starlette(routes=[Route("/{path:path}", peer.answer, methods=METHODS)])
    listener = Listener(app, grace_seconds=0.2)
    await listener.start()
    peer.host = listener.address
    try:
        yield peer
    finally:
        await listener.close()
