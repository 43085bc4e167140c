"""A registry that notes what it is asked, for tests that care how a foreign client goes about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from fakes.registry import RegistryServer, serve_registry
from towpath.http.server import Listener


@dataclass(frozen=True)
class Asked:
    """One request, and the status of its answer."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int


@dataclass
class RecordedRegistry:
    """A running registry; `asked` is what came, in the order of the answers."""

    server: RegistryServer
    url: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        """`127.0.0.1:<port>`."""
        return self.url.removeprefix("http://")

    def find(self, method: str, part: str) -> list[Asked]:
        """The requests of a method whose path or query holds this."""
        return [one for one in self.asked if one.method == method and part in f"{one.path}?{one.query}"]


@asynccontextmanager
async def serve_recorded(root: Path) -> AsyncIterator[RecordedRegistry]:
    """Run it in this directory until the block ends."""
    async with serve_registry(root) as server:
        asked: list[Asked] = []
        listener = Listener(_Recorder(server.app, asked))
        await listener.start()
        try:
            yield RecordedRegistry(server, listener.url, asked)
        finally:
            await listener.close()


class _Recorder:
    def __init__(self, app: ASGIApp, asked: list[Asked]) -> None:
        self._app = app
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status = 0

        async def note(message: dict[str, object]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(str(message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, note)  # type: ignore[arg-type]
        finally:
            query = scope["query_string"].decode()
            self._asked.append(Asked(scope["method"], scope["path"], query, headers, status))
