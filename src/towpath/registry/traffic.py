"""Every request of the registry, measured from its first byte to its last, for whoever counts or writes it down.

The measure stands around the application and sees bytes only: method, path, status, sizes, time. Who asked is filled in
by the application: whom it knows, and of who is refused the name that was claimed, so that guessing can be seen.
Nothing here ever holds a header that could carry a secret, nor a query.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towpath.aio.clock import Clock
from towpath.http.direct import find_direct
from towpath.registry.robots import SECRET_PREFIX

_KEY = "towpath.registry.passage"
# What a client sent as its name or its path is cut: enough to know it by, little to fill a disk with.
_TEXT_LIMIT = 512
# Twice as long as any name that there is.
_NAME_LIMIT = 128
MASKED = "(a secret)"


@dataclass(slots=True)
class Passage:
    """One request on its way through the registry."""

    id: str
    method: str
    path: str
    route: str
    remote: str
    user_agent: str
    at: float
    is_mount: bool = False
    caller: str = ""
    status: int = 0  # 0: the client went away before there was an answer
    received: int = 0
    sent: int = 0
    seconds: float = 0.0


class Observer(Protocol):
    """Whoever wants to know what the registry does; called on the event loop, so it must be quick."""

    def passed(self, passage: Passage) -> None:
        """A request has ended."""
        ...

    def refused(self, reason: str) -> None:
        """A request or a token was refused for its credentials."""
        ...


class Measured:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observer], *, clock: Clock) -> None:
        self._app = app
        self._observers = tuple(observers)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and tell of it when it has ended, whichever way."""
        if not self._observers:
            await self._app(scope, receive, send)
            return
        passage = _begin(scope, at=self._clock.now())
        scope[_KEY] = passage
        request_id = (b"x-request-id", passage.id.encode())

        async def take() -> Message:
            message = await receive()
            passage.received += len(message.get("body", b""))
            return message

        async def give(message: Message) -> None:
            if message["type"] == "http.response.start":
                passage.status = message["status"]
                message = {**message, "headers": [*message["headers"], request_id]}
            elif passage.method != "HEAD":  # whose body the server leaves out
                passage.sent += len(message.get("body", b""))
            await send(message)

        started = self._clock.monotonic()
        try:
            await self._app(scope, take, give)
        finally:
            passage.seconds = self._clock.monotonic() - started
            direct = find_direct(scope)
            if direct:
                passage.received += direct.received
                passage.sent += direct.sent
            for observer in self._observers:
                observer.passed(passage)


def name_caller(scope: Scope, account: str) -> None:
    """Say who sent the request that is being measured; of one that is refused, who the sender claims to be."""
    passage: Passage | None = scope.get(_KEY)
    if passage is not None:
        # Some swap name and secret when they are asked for both.
        passage.caller = MASKED if account.startswith(SECRET_PREFIX) else account[:_NAME_LIMIT]


def classify(path: str) -> str:
    """What kind of endpoint a path is: a bounded set of names, for labels."""
    if path == "/token":
        return "token"
    parts = path.removeprefix("/v2").strip("/").split("/")
    if parts == [""]:
        return "base"
    if parts == ["_catalog"]:
        return "catalog"
    if "uploads" in parts[-2:] and "blobs" in parts[-3:]:
        return "uploads"
    if len(parts) >= 3 and parts[-2] in {"manifests", "blobs", "tags", "referrers"}:
        return parts[-2]
    return "other"


def _begin(scope: Scope, *, at: float) -> Passage:
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    client = scope.get("client")
    route = classify(scope["path"])
    return Passage(
        id=secrets.token_hex(8),
        method=scope["method"],
        path=scope["path"][:_TEXT_LIMIT],
        route=route,
        remote=client[0] if client else "",
        user_agent=agent[:_TEXT_LIMIT].decode("latin-1"),
        at=at,
        is_mount=route == "uploads" and b"mount=" in scope["query_string"],
    )
