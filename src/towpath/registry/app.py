"""The registry as an ASGI application: `/v2/…` and `/token`, every failure in the specification's form.

Each request is: match the path, identify the caller, check the repository's name, run the endpoint. The caller comes
first, so that someone without credentials learns nothing, not even which paths exist.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from towpath.aio.clock import Clock, SystemClock
from towpath.http.body import BodyInterruptedError, BodyTooLargeError, BodyTooSlowError, Patience
from towpath.oci.challenge import DELETE, PULL, PUSH, Scope
from towpath.oci.errors import ErrorCode
from towpath.oci.reference import InvalidReferenceError, parse_repository
from towpath.registry.access import CATALOG, Access
from towpath.registry.accounts import Accounts
from towpath.registry.errors import DamagedContentError, RegistryError, StorageError
from towpath.registry.protocol.exchange import Exchange, OnPush, answer_error
from towpath.registry.protocol.paths import Match, find_match
from towpath.registry.protocol.upstream import ask_upstream
from towpath.registry.routes import Below, Served
from towpath.registry.service import Registry
from towpath.registry.token_endpoint import TokenEndpoint
from towpath.registry.tokens import TokenSettings, TokenSigner
from towpath.registry.traffic import Measured, Observer, name_caller

log = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD"})


def create_registry_app(
    registry: Registry,
    accounts: Accounts,
    *,
    on_push: OnPush | None = None,
    clock: Clock | None = None,
    tokens: TokenSettings | None = None,
    observers: Sequence[Observer] = (),
    patience: Patience | None = None,
) -> Router:
    """The application; its routes may be mounted beside others.

    Args:
        registry: started before the first request.
        accounts: who may do what.
        on_push: called after each tag that was set; it should only take note.
        clock: ages tokens.
        tokens: what signs tokens, and where clients ask for them.
        observers: told of every request that has ended, and of every refusal.
        patience: how slowly a client may send.
    """
    clock = clock or SystemClock()

    def tell_refusal(reason: str) -> None:
        for observer in observers:
            observer.refused(reason)

    tokens = tokens or TokenSettings()
    signer = TokenSigner(key=tokens.key or secrets.token_bytes(32), clock=clock)
    access = Access(accounts, signer, on_refusal=tell_refusal, external_url=tokens.external_url)
    front = _Front(registry, access, on_push, patience or Patience(), clock)
    distribution = Measured(Served(front.distribution), observers, clock=clock)
    token = Measured(Served(front.token), observers, clock=clock)
    return Router(routes=[Below(distribution), Route("/token", token, methods=["GET", "POST"])])


class _Front:
    """What all requests share."""

    def __init__(
        self, registry: Registry, access: Access, on_push: OnPush | None, patience: Patience, clock: Clock
    ) -> None:
        self._registry = registry
        self._access = access
        self._on_push = on_push
        self._patience = patience
        self._tokens = TokenEndpoint(access, clock)

    async def distribution(self, request: Request) -> Response:
        """Everything below `/v2/`."""
        return await _answer_failures(request, self._dispatch)

    async def token(self, request: Request) -> Response:
        """The token endpoint."""
        return await _answer_failures(request, self._tokens.answer)

    async def _dispatch(self, request: Request) -> Response:
        path = request.path_params.get("path", "")
        match = find_match(path)
        caller = await self._access.identify(request, lambda: _asked(match, path, request))
        name_caller(request.scope, caller.account.name)
        if match is None:
            return answer_error(404, ErrorCode.NAME_UNKNOWN, f"{request.url.path[:256]} is no path of a registry")
        readable = match.endpoints.get("GET") if request.method == "HEAD" else None
        endpoint = match.endpoints.get(request.method, readable)
        if endpoint is None:
            message = f"{request.method[:32]} is not supported here: expected {' or '.join(match.methods)}"
            return answer_error(405, ErrorCode.UNSUPPORTED, message, headers={"Allow": ", ".join(match.methods)})
        if match.repository:
            _check_name(match.repository)
        exchange = Exchange(
            request,
            self._registry,
            self._access,
            caller,
            match.repository,
            match.parts,
            self._on_push,
            self._patience,
        )
        await ask_upstream(exchange)
        return await endpoint(exchange)


async def _answer_failures(request: Request, serve: Callable[[Request], Awaitable[Response]]) -> Response:
    """Run an endpoint; whatever it raises becomes an answer."""
    try:
        return await serve(request)
    except RegistryError as error:
        return answer_error(error.status, error.code, error.message, detail=error.detail, headers=error.headers)
    except BodyTooLargeError as error:
        return answer_error(error.status, ErrorCode.SIZE_INVALID, error.message)
    except BodyTooSlowError as error:
        # What is still to come would otherwise be waited for, however slowly it comes.
        return answer_error(error.status, ErrorCode.BLOB_UPLOAD_INVALID, error.message, headers={"Connection": "close"})
    except BodyInterruptedError as error:
        return answer_error(400, ErrorCode.SIZE_INVALID, error.message)  # nobody is there to read it
    except (StorageError, DamagedContentError) as error:
        log.error("%s %s: %s", request.method, request.url.path, error.message)  # noqa: TRY400 - the message says all
        return answer_error(error.status, ErrorCode.UNKNOWN, error.message)
    except Exception:
        log.exception("%s %s failed", request.method, request.url.path)
        return answer_error(500, ErrorCode.UNKNOWN, "the registry failed; its log says why")


def _asked(match: Match | None, path: str, request: Request) -> tuple[Scope, ...]:
    """The scopes to name in a challenge, first what the request needs; a mount also reads from its source."""
    if match is None or not path:
        return ()
    if not match.repository:
        return (CATALOG,)
    if match.is_upload:
        scope, source = Scope.of_repository(match.repository, PULL, PUSH), request.query_params.get("from", "")
        return (scope, Scope.of_repository(source, PULL)) if _is_name(source) else (scope,)
    actions = {"DELETE": (DELETE,)}.get(request.method, (PULL,) if request.method in _READING else (PULL, PUSH))
    return (Scope.of_repository(match.repository, *actions),)


def _is_name(text: str) -> bool:
    try:
        return bool(parse_repository(text))
    except InvalidReferenceError:
        return False


def _check_name(repository: str) -> None:
    try:
        parse_repository(repository)
    except InvalidReferenceError as error:
        raise RegistryError(ErrorCode.NAME_INVALID, error.problem, detail=repository[:256]) from error
