"""`/token`, where a client gets its tokens: GET with a password, or an OAuth 2 form with that or a refresh token.

A token for less than was asked is no error here: the registry decides at the request (distribution's token
specification). Both names of the token are given, since clients look for either.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from towpath.aio.clock import Clock, format_rfc3339
from towpath.http.body import read_body
from towpath.http.credentials import parse_basic
from towpath.oci.challenge import Scope, parse_scopes
from towpath.oci.errors import ErrorCode
from towpath.oci.syntax import InvalidTextError
from towpath.registry.access import Access, Issued
from towpath.registry.accounts import ANONYMOUS
from towpath.registry.protocol.exchange import answer_error, answer_json
from towpath.registry.tokens import TOKEN_SECONDS
from towpath.registry.traffic import name_caller

FORM_LIMIT = 16 * 1024
UNCACHED = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Answers token requests."""

    access: Access
    clock: Clock

    async def answer(self, request: Request) -> Response:
        """One request, of either kind."""
        return await (self._answer_form(request) if request.method == "POST" else self._answer_query(request))

    async def _answer_query(self, request: Request) -> Response:
        query = request.query_params
        scopes = _scopes(query.getlist("scope"))
        if isinstance(scopes, Response):
            return scopes
        header = request.headers.get("authorization", "")
        basic = parse_basic(header)
        if basic:
            name_caller(request.scope, basic.username)
            with_refresh = query.get("offline_token") == "true"
            issued = await self.access.issue(basic.username, basic.password, scopes, with_refresh=with_refresh)
        else:
            # A header that cannot be read is a failed login, and no request for what everybody may have.
            issued = None if header else self.access.issue_anonymous(scopes)
            name_caller(request.scope, ANONYMOUS if issued else "")
        problem = "user name or password is wrong" if header else "authentication is required"
        return self._grant(issued) if issued else _refuse(problem)

    async def _answer_form(self, request: Request) -> Response:
        body = await read_body(request, limit=FORM_LIMIT)
        fields = parse_qs(body.decode("utf-8", "replace"))
        form = {name: values[-1] for name, values in fields.items()}
        kind = form.get("grant_type", "")
        scopes = _scopes(fields.get("scope", []))
        if isinstance(scopes, Response):
            return scopes
        if kind == "password":
            name_caller(request.scope, form.get("username", ""))
            with_refresh = form.get("access_type") == "offline"
            issued = await self.access.issue(
                form.get("username", ""), form.get("password", ""), scopes, with_refresh=with_refresh
            )
            problem = "user name or password is wrong"
        elif kind == "refresh_token":
            name_caller(request.scope, self.access.find_holder(form.get("refresh_token", "")))
            issued = self.access.issue_again(form.get("refresh_token", ""), scopes)
            problem = "the refresh token is not valid: log in again"
        else:
            message = "only grant_type=password and grant_type=refresh_token are supported"
            return answer_error(400, ErrorCode.UNSUPPORTED, message)
        return self._grant(issued) if issued else _refuse(problem)

    def _grant(self, issued: Issued) -> Response:
        document: dict[str, Any] = {
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": TOKEN_SECONDS,
            "issued_at": format_rfc3339(self.clock.now()),
            "scope": " ".join(map(str, issued.scopes)),
        }
        if issued.refresh_token:
            document["refresh_token"] = issued.refresh_token
        return answer_json(document, UNCACHED)


def _scopes(texts: list[str]) -> list[Scope] | Response:
    try:
        return parse_scopes(texts)
    except InvalidTextError as error:
        return answer_error(400, ErrorCode.UNSUPPORTED, error.problem)


def _refuse(problem: str) -> Response:
    headers = {**UNCACHED, "WWW-Authenticate": 'Basic realm="registry"'}
    return answer_error(401, ErrorCode.UNAUTHORIZED, problem, headers=headers)
