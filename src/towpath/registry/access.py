"""From a request to a caller, and from a missing right to the challenge that tells the client what to ask for.

Private by default: without valid credentials every path is answered by 401, but for what the owner has opened to all.
A caller may do what both the account's grants and the token's scopes allow; with a password (Basic), the grants alone.
Credentials are looked at once, when a request begins: an upload may take longer than its token lives.
"""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from towpath.http.credentials import parse_basic, parse_bearer
from towpath.oci.challenge import PULL, PUSH, Challenge, Scope, format_challenge
from towpath.oci.errors import ErrorCode
from towpath.registry.accounts import Account, Accounts, Login
from towpath.registry.errors import RegistryError
from towpath.registry.tokens import REFRESH, ExpiredTokenError, TokenSigner
from towpath.registry.traffic import name_caller

# What clients ask for who want the list of repositories.
CATALOG = Scope("registry", "catalog", frozenset({"*"}))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `scopes` is None when a password was sent, which is not narrowed."""

    account: Account
    scopes: tuple[Scope, ...] | None

    def may(self, action: str, repository: str) -> bool:
        """Whether the caller may do this there."""
        if action not in self.account.allowed(repository):
            return False
        if self.scopes is None:
            return True
        return any(
            scope.kind == "repository" and scope.name == repository and scope.actions & {action, "*"}
            for scope in self.scopes
        )

    def may_list(self, repository: str, action: str) -> bool:
        """Whether a list may name this repository: listing needs the grant, its scope (`CATALOG`) names none."""
        return action in self.account.allowed(repository)


@dataclass(frozen=True, slots=True)
class Issued:
    """What the token endpoint gives; `refresh_token` is empty unless asked for."""

    token: str
    scopes: tuple[Scope, ...]
    refresh_token: str = ""


class Access:
    """Authenticates requests to one registry."""

    def __init__(
        self,
        accounts: Accounts,
        signer: TokenSigner,
        *,
        on_refusal: Callable[[str], None] | None = None,
        external_url: str = "",
    ) -> None:
        """Prepare.

        Args:
            accounts: who there is.
            signer: makes and reads tokens.
            on_refusal: told why each request was refused: `credentials`, `token`, `expired`, `scope`, `missing`.
            external_url: where clients reach the registry behind a proxy that ends TLS; empty for what they say in
                `Host`. No header of the proxy's is asked: anyone could send one.
        """
        self._accounts = accounts
        self._signer = signer
        self._on_refusal = on_refusal or (lambda _: None)
        self._external_url = external_url

    async def identify(self, request: Request, ask: Callable[[], tuple[Scope, ...]]) -> Caller:
        """The caller of a request. Raises RegistryError (UNAUTHORIZED).

        Args:
            request: the request.
            ask: says what to ask for in a challenge; the first scope is what the request needs.
        """
        header = request.headers.get("authorization", "")
        basic = parse_basic(header)
        if basic:
            login = await self._accounts.authenticate(basic.username, basic.password)
            if login is None:
                name_caller(request.scope, basic.username)
                raise self._refused("credentials", request, ask(), "user name or password is wrong")
            return Caller(login.account, None)
        token = parse_bearer(header)
        if not token:
            return self._identify_anonymous(request, ask())
        try:
            claims = self._signer.read(token)
        except ExpiredTokenError as error:
            name_caller(request.scope, error.account)
            raise self._refused("expired", request, ask(), "the token has expired", "invalid_token") from error
        login = self._accounts.find_login(claims.account, claims.secret_id) if claims else None
        if login is None or claims is None:
            name_caller(request.scope, claims.account if claims else "")
            raise self._refused("token", request, ask(), "the token is not valid here", "invalid_token")
        return Caller(login.account, claims.scopes)

    def require(self, request: Request, caller: Caller, scope: Scope) -> None:
        """Let a caller pass who may do all that `scope` names.

        Raises:
            RegistryError: UNAUTHORIZED with a challenge for a token (a wider one may help), DENIED for a password.
        """
        missing = sorted(action for action in scope.actions if not caller.may(action, scope.name))
        if not missing:
            return
        message = f"{caller.account.name} may not {' and '.join(missing)} in {scope.name}"
        if caller.scopes is None:
            self._on_refusal("scope")
            raise RegistryError(ErrorCode.DENIED, message)
        # Clients put the new token in place of the old one, so who asks for the right to push keeps that to pull.
        wanted = Scope.of_repository(scope.name, PULL, *scope.actions) if PUSH in scope.actions else scope
        raise self._refused("scope", request, (wanted,), message, "insufficient_scope")

    def require_listing(self, request: Request, caller: Caller) -> None:
        """Let a caller pass who may have the list of repositories, in which only those stand that they may pull from.

        Raises:
            RegistryError: UNAUTHORIZED with a challenge, when it is a token's and was not made for the list: a token of
                one repository, given away, must not tell the names of the others.
        """
        if caller.scopes is None or CATALOG in caller.scopes:
            return
        message = f"the token does not let {caller.account.name} list repositories"
        raise self._refused("scope", request, (CATALOG,), message, "insufficient_scope")

    def may_mount(self, request: Request, caller: Caller, *, source: str, target: str) -> bool:
        """Whether the caller may read the source of a mount; what the source holds plays no part in it.

        Raises:
            RegistryError: UNAUTHORIZED, when the account may and only its token does not say so: many clients ask for a
                token of the target alone until they are challenged for both.
        """
        if caller.may(PULL, source):
            return True
        if caller.scopes is None or PULL not in caller.account.allowed(source):
            return False
        wanted = (Scope.of_repository(target, PULL, PUSH), Scope.of_repository(source, PULL))
        message = f"the token does not let {caller.account.name} pull from {source}"
        raise self._refused("scope", request, wanted, message, "insufficient_scope")

    async def issue(
        self, username: str, password: str, scopes: list[Scope], *, with_refresh: bool = False
    ) -> Issued | None:
        """A token of the asked scopes, narrowed to what the account may do; None for wrong credentials."""
        login = await self._accounts.authenticate(username, password)
        return self._issue(login, scopes, with_refresh=with_refresh)

    def find_holder(self, refresh_token: str) -> str:
        """Whom a refresh token was made for, whether it is valid still or not; empty when it was not made here."""
        try:
            claims = self._signer.read(refresh_token, use=REFRESH)
        except ExpiredTokenError as error:
            return error.account
        return claims.account if claims else ""

    def issue_again(self, refresh_token: str, scopes: list[Scope]) -> Issued | None:
        """A token for a refresh token, as long as the secret behind it is valid; None for one that is not."""
        try:
            claims = self._signer.read(refresh_token, use=REFRESH)
        except ExpiredTokenError:
            claims = None
        login = self._accounts.find_login(claims.account, claims.secret_id) if claims else None
        issued = self._issue(login, scopes, with_refresh=False)
        # The same one again: clients store what they get, and a new one each time would never be older than a token.
        return issued and Issued(issued.token, issued.scopes, refresh_token)

    def issue_anonymous(self, scopes: list[Scope]) -> Issued | None:
        """A token for nobody in particular; None where nothing is open to all."""
        login = self._accounts.anonymous
        if login is None:
            self._on_refusal("missing")
            return None
        return self._issue(login, scopes, with_refresh=False)

    def _issue(self, login: Login | None, scopes: list[Scope], *, with_refresh: bool) -> Issued | None:
        if login is None:
            self._on_refusal("credentials")
            return None
        narrowed = tuple(_narrow(login.account, scope) for scope in scopes)
        refresh = self._signer.sign_refresh(login) if with_refresh else ""
        return Issued(self._signer.sign(login, narrowed), narrowed, refresh)

    def _identify_anonymous(self, request: Request, scopes: tuple[Scope, ...]) -> Caller:
        login = self._accounts.anonymous
        scope = scopes[0] if scopes else None
        # `/v2/` itself is always challenged: clients decide there, once, whether they will ever send what they have.
        if login and scope and scope.kind == "repository" and scope.actions <= login.account.allowed(scope.name):
            return Caller(login.account, None)
        raise self._refused("missing", request, scopes, "authentication is required")

    def url_for(self, request: Request) -> str:
        """Where the sender of a request reaches the registry: scheme and host."""
        return self._external_url or f"{request.url.scheme}://{request.headers.get('host', '')}"

    def _refused(
        self, reason: str, request: Request, scopes: tuple[Scope, ...], message: str, said: str = ""
    ) -> RegistryError:
        self._on_refusal(reason)
        return _unauthorized(self.url_for(request), scopes, message, error=said)


def _narrow(account: Account, scope: Scope) -> Scope:
    if scope.kind != "repository":
        return scope
    allowed = account.allowed(scope.name)
    # `*` is how skopeo asks for the right to delete.
    return Scope(scope.kind, scope.name, allowed if "*" in scope.actions else allowed & scope.actions)


def _unauthorized(url: str, scopes: tuple[Scope, ...], message: str, *, error: str = "") -> RegistryError:
    parameters = {"realm": f"{url}/token", "service": url.partition("://")[2]}
    wanted = " ".join(map(str, scopes))
    if wanted:
        parameters["scope"] = wanted
    if error:
        parameters["error"] = error
    challenge = format_challenge(Challenge("bearer", parameters))
    detail = {"scope": wanted} if wanted else None
    headers = {"WWW-Authenticate": challenge}
    return RegistryError(ErrorCode.UNAUTHORIZED, message, detail=detail, headers=headers)
