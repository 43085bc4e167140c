"""From a request to a caller, and from a missing right to the challenge that tells the client what to ask for.

Private by default: without valid credentials every path is answered by 401. A caller may do what both the account's
grants and the token's scopes allow; with a password (Basic), the grants alone.
"""

from dataclasses import dataclass

from starlette.requests import Request

from towpath.http.credentials import parse_basic, parse_bearer
from towpath.oci.challenge import Challenge, Scope, format_challenge
from towpath.oci.errors import ErrorCode
from towpath.registry.accounts import Account, Accounts
from towpath.registry.errors import RegistryError
from towpath.registry.tokens import ExpiredTokenError, TokenSigner


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
        """Whether a list may name this repository: listing needs the grant, its scope names no repository."""
        return action in self.account.allowed(repository)


class Access:
    """Authenticates requests to one registry."""

    def __init__(self, accounts: Accounts, signer: TokenSigner) -> None:
        self._accounts = accounts
        self._signer = signer

    async def identify(self, request: Request, scope: Scope | None) -> Caller:
        """The caller of a request; `scope` is what the request needs. Raises RegistryError (UNAUTHORIZED)."""
        header = request.headers.get("authorization", "")
        basic = parse_basic(header)
        if basic:
            account = await self._accounts.authenticate(basic.username, basic.password)
            if account is None:
                raise _unauthorized(request, scope, "user name or password is wrong")
            return Caller(account, None)
        token = parse_bearer(header)
        if not token:
            raise _unauthorized(request, scope, "authentication is required")
        try:
            claims = self._signer.read(token)
        except ExpiredTokenError as error:
            raise _unauthorized(request, scope, "the token has expired", error="invalid_token") from error
        account = self._accounts.find(claims.account) if claims else None
        if account is None or claims is None:
            raise _unauthorized(request, scope, "the token is not valid here", error="invalid_token")
        return Caller(account, claims.scopes)

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
            raise RegistryError(ErrorCode.DENIED, message)
        raise _unauthorized(request, scope, message, error="insufficient_scope")

    async def issue(self, username: str, password: str, scopes: list[Scope]) -> str | None:
        """A token of the asked scopes, narrowed to what the account may do; None for wrong credentials."""
        account = await self._accounts.authenticate(username, password)
        if account is None:
            return None
        return self._signer.sign(account.name, [_narrow(account, scope) for scope in scopes])


def _narrow(account: Account, scope: Scope) -> Scope:
    if scope.kind != "repository":
        return scope
    allowed = account.allowed(scope.name)
    # `*` is how skopeo asks for the right to delete.
    return Scope(scope.kind, scope.name, allowed if "*" in scope.actions else allowed & scope.actions)


def _unauthorized(request: Request, scope: Scope | None, message: str, *, error: str = "") -> RegistryError:
    host = request.headers.get("host", "")
    parameters = {"realm": f"{request.url.scheme}://{host}/token", "service": host}
    if scope:
        parameters["scope"] = str(scope)
    if error:
        parameters["error"] = error
    challenge = format_challenge(Challenge("bearer", parameters))
    detail = {"scope": str(scope)} if scope else None
    headers = {"WWW-Authenticate": challenge}
    return RegistryError(ErrorCode.UNAUTHORIZED, message, detail=detail, headers=headers)
