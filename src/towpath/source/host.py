"""Serve bare repositories over Git smart HTTP, and tell about every push.

Private by default: each request carries Basic credentials. Protocol versions 0, 1 and 2; the dumb protocol is not
served. What a push changed is found by `refs`, not by parsing the push, so a push that git finished while the client
was already gone, or one that another program made, is told as well. The streams are `rpc`'s business.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from towpath.aio.clock import Clock, SystemClock
from towpath.aio.tasks import Background
from towpath.http.credentials import parse_basic
from towpath.source.events import PushEvent
from towpath.source.git import GitError
from towpath.source.refs import LOOK_INTERVAL_SECONDS, RefWatch
from towpath.source.repository import GitRepository
from towpath.source.rpc import (
    RECEIVE,
    SERVICES,
    BrokenRequestError,
    ClientGoneError,
    Exchange,
    Incoming,
    advertise,
    headers,
    serve,
)

log = logging.getLogger(__name__)

# 1 GiB: far above any repository of services, far below a small machine's disk.
LARGEST_PUSH_BYTES = 1024 * 1024 * 1024
# 8 at once: more git children than that only slow each other down on a small machine.
_CONCURRENT_EXCHANGES = 8

_WHO_ARE_YOU = "wrong or missing credentials; `towpath git-credential` gives them to git"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Towpath", charset="UTF-8"'}


class Authenticate(Protocol):
    """Who a user is."""

    async def __call__(self, username: str, password: str, /) -> str | None:
        """The account's name; None when the credentials are wrong."""
        ...


class Authorize(Protocol):
    """What an account may do."""

    def __call__(self, account: str, repository: str, *, write: bool) -> bool:
        """Whether it may read, or write, a repository."""
        ...


class GitHost:
    """The repositories served by this process, and the watch over their refs."""

    def __init__(
        self,
        repositories: Mapping[str, GitRepository],
        authenticate: Authenticate,
        on_push: Callable[[PushEvent], Awaitable[None]],
        *,
        authorize: Authorize | None = None,
        clock: Clock | None = None,
        largest_push_bytes: int = LARGEST_PUSH_BYTES,
        look_interval_seconds: float = LOOK_INTERVAL_SECONDS,
    ) -> None:
        self.repositories = repositories
        self.authenticate = authenticate
        self.authorize = authorize
        self.clock = clock or SystemClock()
        self.largest_push_bytes = largest_push_bytes
        self.slots = asyncio.Semaphore(_CONCURRENT_EXCHANGES)
        self._background = Background()
        self._watches = {
            name: RefWatch(name, repository, on_push, clock=self.clock, interval_seconds=look_interval_seconds)
            for name, repository in repositories.items()
        }

    async def start(self) -> None:
        """Look for pushes that were not handled, and keep looking."""
        for watch in self._watches.values():
            await watch.start()

    async def close(self) -> None:
        """Stop looking."""
        for watch in self._watches.values():
            await watch.close()
        await self._background.close()

    async def look(self, name: str) -> bool:
        """Look for changes of one repository at once; False when someone could not handle one."""
        return await self._watches[name].look()

    def pushed(self, name: str, *, received_at: float, pusher: str) -> None:
        """Look for what a push changed, without making the client wait for those who handle it."""

        async def look() -> None:
            await self._watches[name].look(received_at=received_at, pusher=pusher)

        self._background.run_once(f"push to {name}", look)


def create_git_app(host: GitHost) -> Starlette:
    """The ASGI application; mount it at `/git`. The caller starts and closes the host."""
    return Starlette(
        routes=[
            Route("/{name}.git/info/refs", _Advertisement(host), methods=["GET"]),
            Route("/{name}.git/{service}", _Exchanges(host), methods=["POST"]),
        ]
    )


class _Endpoint:
    """What both requests share: who asks, for what, and how a refusal is answered."""

    def __init__(self, host: GitHost) -> None:
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive)
        request = Request(scope, incoming)
        try:
            response = await self.answer(request, send)
        except BrokenRequestError as error:
            await incoming.discard()
            response = _refusal(error.status, str(error))
        except GitError as error:
            log.warning("%s", error)
            response = _refusal(500, str(error))
        except ClientGoneError:
            return
        if response is not None:
            await response(scope, receive, send)

    async def answer(self, request: Request, send: Send) -> Response | None:
        """The response; None when it was sent already."""
        raise NotImplementedError

    async def admit(self, request: Request, service: str) -> tuple[str, Exchange] | Response:
        """The account and what it wants of git, or the refusal."""
        account = await self._account(request)
        if account is None:
            return _refusal(401, _WHO_ARE_YOU, _CHALLENGE)
        name = request.path_params["name"]
        repository = self._host.repositories.get(name)
        allowed = self._host.authorize
        if repository is None or (allowed is not None and not allowed(account, name, write=False)):
            return _refusal(404, f"no repository {name}.git; {_known(self._host.repositories)}")
        if service not in SERVICES:
            return _refusal(403, f"service {service or 'none'} is not served; use a git that speaks smart HTTP")
        if service == RECEIVE and allowed is not None and not allowed(account, name, write=True):
            return _refusal(403, f"{account} may read {name}.git, but not push to it")
        return account, Exchange(
            repository=repository.path,
            service=service,
            protocol=request.headers.get("git-protocol", ""),
            gzipped=request.headers.get("content-encoding", "") in {"gzip", "x-gzip"},
            largest_bytes=self._host.largest_push_bytes,
        )

    async def _account(self, request: Request) -> str | None:
        given = parse_basic(request.headers.get("authorization", ""))
        return await self._host.authenticate(given.username, given.password) if given else None


class _Advertisement(_Endpoint):
    """`GET info/refs`: which refs there are."""

    async def answer(self, request: Request, send: Send) -> Response | None:
        del send
        admitted = await self.admit(request, request.query_params.get("service", ""))
        if isinstance(admitted, Response):
            return admitted
        _, exchange = admitted
        async with self._host.slots:
            content = await advertise(exchange)
        response = Response(content)
        response.raw_headers = [
            *headers(exchange.service, "advertisement"),
            (b"content-length", str(len(content)).encode()),
        ]
        return response


class _Exchanges(_Endpoint):
    """`POST git-upload-pack` and `POST git-receive-pack`."""

    async def answer(self, request: Request, send: Send) -> Response | None:
        service = request.path_params["service"]
        admitted = await self.admit(request, service)
        if isinstance(admitted, Response):
            return admitted
        account, exchange = admitted
        if request.headers.get("content-type") != f"application/x-{service}-request":
            return _refusal(415, f"expected content type application/x-{service}-request")
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > exchange.limit_bytes:
            return _refusal(413, f"the request is too large: {length} bytes, at most {exchange.limit_bytes}")
        received_at = self._host.clock.now()
        try:
            async with self._host.slots:
                await serve(exchange, request.receive, send)
        finally:
            if service == RECEIVE:  # whatever the outcome: git may have moved a ref before it failed
                self._host.pushed(request.path_params["name"], received_at=received_at, pusher=account)
        return None


def _refusal(status: int, text: str, extra: Mapping[str, str] | None = None) -> Response:
    # The connection is closed because the rest of the request is not read; git shows the text to its user.
    return PlainTextResponse(f"{text}\n", status, headers={"Connection": "close", **(extra or {})})


def _known(repositories: Mapping[str, GitRepository]) -> str:
    return f"there is {', '.join(f'{name}.git' for name in sorted(repositories))}" if repositories else "there is none"
