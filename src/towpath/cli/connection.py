"""The command line's way to the running platform: its JSON API, found through `.towpath/run.json`.

Plain `http.client`: one request a command, and no import that costs more than the command itself.
"""

import http.client
import json
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    RemoteError,
    TowpathError,
    UserError,
)
from towpath.server import credentials
from towpath.server.runfile import RunInfo, read_run_info

API = "/api/v1"
# A promotion with --wait holds its request open; everything else answers at once.
TIMEOUT_SECONDS = 600.0

_BY_EXIT_CODE: dict[int, type[TowpathError]] = {
    error.exit_code: error
    for error in (UserError, RefusedError, NotFoundError, ConflictError, RemoteError, IntegrityError)
}


class Connection:
    """A platform's API."""

    def __init__(self, info: RunInfo, token: str) -> None:
        self._url = urllib.parse.urlsplit(info.url)
        self._info = info
        self._token = token

    @classmethod
    def of(cls, directory: Path) -> "Connection":
        """The platform that runs in `directory` or above. Raises UserError when none does."""
        state = find_root(directory) / STATE_DIRECTORY
        return cls(read_run_info(state), credentials.read(state).admin_token)

    def get(self, path: str, **query: object) -> Any:
        """The JSON document at a path of the API. Raises the error that the platform reports."""
        return self._exchange("GET", path, query, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a JSON document; the JSON answer. Raises the error that the platform reports."""
        return self._exchange("POST", path, {}, body)

    def stream(self, path: str, **query: object) -> Iterator[bytes]:
        """The chunks of an endless answer, as they come."""
        connection, response = self._request("GET", path, query, None)
        try:
            while chunk := response.read1(65536):
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(
                f"{path} ended early (Disconnected): {error}", hint="is the platform still up?"
            ) from error
        finally:
            connection.close()

    def _open(self) -> http.client.HTTPConnection:
        if self._url.scheme != "https":
            return http.client.HTTPConnection(self._url.netloc, timeout=TIMEOUT_SECONDS)
        try:
            return _NamedConnection(self._url.netloc, self._info)
        except OSError as error:
            raise UserError(f"certificate {self._info.trusted} cannot be read ({type(error).__name__})") from error

    def _exchange(self, method: str, path: str, query: Mapping[str, object], body: Mapping[str, Any] | None) -> Any:
        connection, response = self._request(method, path, query, body)
        try:
            return json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RemoteError(f"{method} {path} was not understood (BadAnswer): {error}") from error
        finally:
            connection.close()

    def _request(
        self, method: str, path: str, query: Mapping[str, object], body: Mapping[str, Any] | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._open()
        given = {name: _text(value) for name, value in query.items() if value not in (None, "", False)}
        target = f"{API}{path}" + (f"?{urllib.parse.urlencode(given)}" if given else "")
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, socket.gaierror) as error:
            connection.close()
            raise RemoteError(
                f"platform at {self._url.geturl()} cannot be reached (Connection): {error}", hint="towpath up"
            ) from error
        if response.status >= 400:
            answer = response.read()
            connection.close()
            raise _error_of(response.status, answer)
        return connection, response


class _NamedConnection(http.client.HTTPSConnection):
    """A connection to an address whose certificate has the platform's name, which may be another than the address."""

    def __init__(self, netloc: str, info: RunInfo) -> None:
        super().__init__(netloc, timeout=TIMEOUT_SECONDS)
        self._trust = ssl.create_default_context(cafile=info.trusted)
        self._trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._server_name = info.server_name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._trust.wrap_socket(self.sock, server_hostname=self._server_name)


def _text(value: object) -> str:
    return "true" if value is True else str(value)


def _error_of(status: int, answer: bytes) -> TowpathError:
    try:
        document = json.loads(answer)
        error = _BY_EXIT_CODE.get(document["exit_code"], TowpathError)
        return error(document["message"], hint=document.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return RemoteError(f"platform answered {status}: {answer[:200].decode(errors='replace')}")
