"""One call to a registry: the right scheme and host, each credential in turn, redirects without leaking credentials.

A call returns the response of any status but "not authorised": what a 404 means is known by the operation. Retries live
below, in `http.client`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from towpath.aio.clock import Clock
from towpath.http.client import HttpClient, OpenBody, Request, Response, ResponseTooLargeError, UnreachableError
from towpath.oci.challenge import Scope, parse_challenges
from towpath.oci.errors import parse_errors
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.reference import DEFAULT_REGISTRY, Reference
from towpath.ociclient.authorization import Authorizer, TokenFailureError
from towpath.ociclient.errors import (
    Failure,
    PullCause,
    PullError,
    RegistryRequestError,
    describe_unreachable,
    find_advice,
    format_as_go,
    format_entries,
)

DOCKER_HUB_HOST = "registry-1.docker.io"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
REDIRECT_LIMIT = 5
ERROR_BODY_LIMIT = 64 * 1024
_NEXT_CREDENTIAL_CAUSES = frozenset({PullCause.TOKEN_REFUSED, PullCause.ACCESS_DENIED, PullCause.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Call:
    """One request within a repository.

    Attributes:
        target: a path below `/v2/<repository>/`, or a whole URL (an upload).
        follow: whether redirects are followed; else one is the response.
    """

    method: str
    target: str
    scopes: tuple[Scope, ...]
    error: type[RegistryRequestError] = PullError
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | OpenBody = b""
    length: int | None = None
    repeat: bool = True
    follow: bool = True


class Session:
    """Calls of one client, over all registries."""

    def __init__(self, http: HttpClient, keyring: Keyring, *, plain_http: Callable[[str], bool], clock: Clock) -> None:
        self._http = http
        self._keyring = keyring
        self._plain_http = plain_http
        self._authorizer = Authorizer(http, plain_http=plain_http, clock=clock)
        # Which credential worked, so that a wrong one is not tried before each request of a pull.
        self._preferred: dict[str, Credential] = {}

    async def call(self, reference: Reference, call: Call) -> Response:
        """Send, with each credential that matches until one is accepted.

        Raises:
            RegistryRequestError: (of the call's class) unreachable, or not authorised with any credential.
        """
        candidates: list[Credential | None] = [*self._keyring.find(reference)]
        preferred = self._preferred.get(reference.name)
        candidates.sort(key=lambda credential: credential != preferred)
        for credential in candidates or [None]:
            try:
                response = await self._call_as(credential, reference, call)
            except RegistryRequestError as error:
                if error.cause not in _NEXT_CREDENTIAL_CAUSES or credential == (candidates or [None])[-1]:
                    raise
            else:
                if credential:
                    self._preferred[reference.name] = credential
                return response
        raise AssertionError("unreachable: the last credential returns or raises")

    async def fail(self, reference: Reference, call: Call, response: Response) -> RegistryRequestError:
        """The error that a response of an unexpected status stands for; closes the response."""
        async with response:
            try:
                entries = parse_errors(await response.read(ERROR_BODY_LIMIT))
            except (UnreachableError, ResponseTooLargeError):
                entries = []
        status = response.status
        cause = _CAUSES.get(status, PullCause.SERVER_ERROR if status >= 500 else PullCause.INVALID_CONTENT)
        challenges = parse_challenges(response.headers.get("www-authenticate", ""))
        said = next((c.parameters["error"] for c in challenges if "error" in c.parameters), "")
        detail = format_entries(status, entries)
        codes = tuple(entry.code for entry in entries)
        failure = Failure(
            cause,
            detail,
            status,
            response.url,
            call.method,
            challenge_error=said,
            codes=codes,
            said=format_as_go(entries),
            advice=find_advice(entries),
        )
        return call.error(reference, failure)

    def url(self, reference: Reference, target: str) -> str:
        """The address of a call's target."""
        if "://" in target:
            return target
        registry = reference.registry
        host = DOCKER_HUB_HOST if registry == DEFAULT_REGISTRY else registry
        scheme = "http" if self._plain_http(registry) else "https"
        return f"{scheme}://{host}/v2/{reference.repository}/{target}"

    async def _call_as(self, credential: Credential | None, reference: Reference, call: Call) -> Response:
        registry = reference.registry
        async with self._authorizer.introduction(registry):
            response = await self._authorized(credential, reference, call)
            again = response.status == 401
            if again:
                header = response.headers.get("www-authenticate", "")
                await response.close()
                self._authorizer.learn(registry, header)
                self._authorizer.forget(registry, credential, call.scopes)
        if again:
            response = await self._authorized(credential, reference, call)
        if response.status in {401, 403}:
            raise await self.fail(reference, call, response)
        return response

    async def _authorized(self, credential: Credential | None, reference: Reference, call: Call) -> Response:
        try:
            authorization = await self._authorizer.authorize(reference.registry, credential, call.scopes)
        except TokenFailureError as error:
            raise call.error(reference, error.failure) from error
        home = self.url(reference, "")
        url = self.url(reference, call.target)
        for _ in range(REDIRECT_LIMIT):
            self._check_safe(reference, call, home=home, url=url)
            headers = dict(call.headers)
            if authorization and _origin(url) == _origin(home):
                headers["Authorization"] = authorization
            request = Request(call.method, url, headers, call.body, call.length, call.repeat)
            try:
                response = await self._http.send(request)
            except UnreachableError as error:
                failure = describe_unreachable(error)
                raise call.error(reference, failure) from error
            location = response.headers.get("location", "")
            if response.status not in REDIRECTS or not location or not call.follow:
                return response
            await response.close()
            url = urljoin(url, location)
        failure = Failure(PullCause.SERVER_ERROR, f"more than {REDIRECT_LIMIT} redirects", url=url, method=call.method)
        raise call.error(reference, failure)

    def _check_safe(self, reference: Reference, call: Call, *, home: str, url: str) -> None:
        """Refuse an address that a registry sends us to: in clear text, unless the registry itself is asked so.

        A registry on the network must not make this client ask the services on this machine's loopback.
        """
        parts = urlsplit(url)
        plain = parts.scheme == "http" and urlsplit(home).scheme == "http" and self._plain_http(parts.netloc)
        if parts.scheme != "https" and not plain:
            detail = f"the registry redirects to an address that is not safe to ask: {parts.scheme}://{parts.netloc}"
            raise call.error(reference, Failure(PullCause.SERVER_ERROR, detail, url=home, method=call.method))


_CAUSES = {
    401: PullCause.ACCESS_DENIED,
    403: PullCause.FORBIDDEN,
    404: PullCause.NOT_FOUND,
    429: PullCause.RATE_LIMITED,
}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
