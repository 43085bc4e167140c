"""What every route of the platform API shares: the token at the door, JSON in and out, errors with their exit codes."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from towpath.errors import TowpathError, UserError
from towpath.http.body import BodyTooLargeError, read_body
from towpath.http.credentials import equals_secret, parse_bearer

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
# Requests of the command line are a few hundred bytes.
BODY_LIMIT = 64 * 1024
STATUS_OF_EXIT_CODE = {1: 500, 2: 400, 3: 409, 4: 404, 5: 409, 6: 502, 7: 500}

Document = dict[str, Any]
Answer = Callable[[Request], Awaitable[Document]]


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets in who brings the platform's token."""

    token: str

    def routes(self, *, reading: Mapping[str, Answer], writing: Mapping[str, Answer]) -> list[Route]:
        """Routes below the API's prefix: GET for what reads, POST for what writes."""
        return [
            *(Route(PREFIX + path, self.guarded(answer), methods=["GET"]) for path, answer in reading.items()),
            *(Route(PREFIX + path, self.guarded(answer), methods=["POST"]) for path, answer in writing.items()),
        ]

    def refuse(self, request: Request) -> Response | None:
        """The answer to a request without the right token; None lets it in."""
        token = parse_bearer(request.headers.get("authorization", ""))
        if token is not None and equals_secret(token, self.token):
            return None
        document = {"message": "request was refused (Unauthorized): no or wrong token", "hint": "", "exit_code": 2}
        return json_response(document, status=401)

    def guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """A route that answers with a document, or with the error that came in its way."""

        async def respond(request: Request) -> Response:
            refusal = self.refuse(request)
            if refusal is not None:
                return refusal
            try:
                return json_response(await answer(request))
            except BodyTooLargeError as error:
                # The rest of the body is not read, so the connection cannot be used again.
                return error_response(error, status=error.status, headers={"Connection": "close"})
            except TowpathError as error:
                return error_response(error)
            except Exception:
                log.exception("%s %s failed", request.method, request.url.path)
                return error_response(TowpathError("request failed unexpectedly", hint="see the log of towpath up"))

        return respond


def json_response(document: Document, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(document), status, headers, "application/json")


def error_response(
    error: TowpathError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """What went wrong, with the exit code that the command line should end with."""
    document = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
    return json_response(document, status=status or STATUS_OF_EXIT_CODE.get(error.exit_code, 500), headers=headers)


async def read_document(request: Request) -> Document:
    """The JSON object of a request. Raises UserError, BodyTooLargeError."""
    content = await read_body(request, limit=BODY_LIMIT)
    try:
        body = orjson.loads(content)
    except ValueError as error:
        raise UserError(f"request body cannot be read (NotJSON): {error}") from error
    if not isinstance(body, dict):
        raise UserError("request body cannot be read (NotAnObject): an object is expected")
    return body
