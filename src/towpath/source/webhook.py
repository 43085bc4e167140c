"""Hear about pushes: receive signed webhooks from forges and from our own host, and make those of our own host.

A verified webhook is a hint to go and look; the listener compares refs. So nothing is lost when one is dropped, and
nothing happens twice when one is doubled. In order, each step refusing before the next costs anything:

1. The provider is one that has a secret.
2. The body is JSON and not too long, by its declared length first.
3. The signature holds, over the bytes as received.
4. The delivery is not a replay: neither its id nor its bytes were seen before.
5. It is a push (a ping is answered, other events are acknowledged and dropped) and well formed.
6. The listener has taken it; if it could not, the sender is asked to come again and the delivery is forgotten.
"""

import asyncio
import hashlib
import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from towpath.aio.clock import Clock, SystemClock
from towpath.errors import TowpathError
from towpath.http.body import BodyInterruptedError, BodyTooLargeError, read_body
from towpath.source.events import PushEvent
from towpath.source.payloads import PayloadError, delivery_id, event_name, is_push, parse_push, prepare_push
from towpath.source.signatures import SignatureError, check_secrets, sign, verify

log = logging.getLogger(__name__)

# 1 MiB: a push of a thousand commits; forges cut their lists before that.
LARGEST_BODY_BYTES = 1024 * 1024
# Forges give up after 10 s themselves.
BODY_SECONDS = 10.0
# 4096 deliveries of about 100 bytes each; older ones may be replayed, which costs one look.
REMEMBERED_DELIVERIES = 4096


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook ready to be sent: a POST with these headers and this body."""

    headers: dict[str, str]
    body: bytes


def prepare_delivery(event: PushEvent, *, secret: str, new_delivery_id: str) -> Delivery:
    """The webhook that tells about a push to a repository of ours."""
    body = prepare_push(event)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Towpath-Hookshot",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": new_delivery_id,
        "X-Hub-Signature-256": sign(secret, body),
    }
    return Delivery(headers, body)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a webhook."""

    status: int
    reason: str
    message: str
    hint: str = ""

    def content(self) -> bytes:
        """JSON: `{"status": …}`, or `{"error": {"reason", "message", "hint"}}`."""
        if self.status < 300:
            return json.dumps({"status": self.reason, "message": self.message}).encode()
        error = {"reason": self.reason, "message": self.message, "hint": self.hint}
        return json.dumps({"error": error}).encode()


class WebhookReceiver:
    """Judges webhooks and passes pushes on.

    Attributes:
        last_valid_at: wall time of the last delivery of each provider whose signature held.
        received: how many deliveries ended in which (provider, reason).
    """

    def __init__(
        self,
        secrets: Mapping[str, Sequence[str]],
        on_push: Callable[[PushEvent], Awaitable[None]],
        *,
        clock: Clock | None = None,
        remembered_deliveries: int = REMEMBERED_DELIVERIES,
    ) -> None:
        """Take the secrets of each provider that may send; all of a provider's secrets are valid.

        Raises:
            UserError: a provider is unknown or has no secret.
        """
        for provider, values in secrets.items():
            check_secrets(provider, values)
        self._secrets = {provider: tuple(values) for provider, values in secrets.items()}
        self._on_push = on_push
        self._clock = clock or SystemClock()
        self._remembered = remembered_deliveries
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.last_valid_at: dict[str, float] = {}
        self.received: Counter[tuple[str, str]] = Counter()

    def knows(self, provider: str) -> bool:
        """Whether a provider has a secret here."""
        return provider in self._secrets

    def count(self, provider: str, receipt: Receipt) -> Receipt:
        """Note how a delivery ended."""
        self.received[provider if self.knows(provider) else "unknown", receipt.reason] += 1
        if receipt.status >= 400:
            log.warning("webhook of %s refused: %s", provider[:20], receipt.message)
        return receipt

    async def receive(self, provider: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        """Judge one delivery whose body is here; `headers` by lower-case name."""
        try:
            verify(provider, self._secrets[provider], headers, body, now=self._clock.now())
        except SignatureError as error:
            return Receipt(401, _reason(error), error.message, error.hint)
        self.last_valid_at[provider] = self._clock.now()
        name = event_name(provider, headers)
        if name == "ping":
            return Receipt(200, "pong", "the secret is right")
        if not is_push(name):
            return Receipt(202, "ignored", f"event {name[:40] or 'none'} changes nothing here")
        keys = self._keys(provider, headers, body)
        if any(key in self._seen for key in keys):
            return Receipt(200, "duplicate", "this delivery was received before")
        try:
            event = parse_push(provider, body, received_at=self._clock.now())
        except PayloadError as error:
            return Receipt(400, _reason(error), error.message, error.hint)
        return await self._pass_on(event, keys)

    async def _pass_on(self, event: PushEvent, keys: Sequence[str]) -> Receipt:
        self._remember(keys)  # before waiting, so that the same delivery a moment later is a duplicate
        try:
            await self._on_push(event)
        except BaseException as error:
            for key in keys:
                self._seen.pop(key, None)
            if not isinstance(error, Exception):
                raise
            log.warning("push to %s of %s could not be taken", event.ref, event.repository, exc_info=True)
            cause = error.message if isinstance(error, TowpathError) else "an internal error"
            return Receipt(503, "NotTaken", f"the push could not be taken: {cause}", "deliver it again")
        return Receipt(202, "accepted", f"looking at {event.ref} of {event.repository}")

    def _keys(self, provider: str, headers: Mapping[str, str], body: bytes) -> list[str]:
        # The id is not signed, so whoever replays can change it; the bytes are, so both are remembered.
        identity = delivery_id(provider, headers)
        keys = [f"{provider} bytes {hashlib.sha256(body).hexdigest()}"]
        return [f"{provider} id {identity[:100]}", *keys] if identity else keys

    def _remember(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._seen[key] = None
        while len(self._seen) > 2 * self._remembered:  # two keys a delivery
            self._seen.popitem(last=False)


def create_webhook_app(receiver: WebhookReceiver) -> Starlette:
    """The ASGI application; mount it at `/webhooks`. Serves `POST /<provider>`."""

    async def post(request: Request) -> Response:
        provider = request.path_params["provider"]
        receipt = receiver.count(provider, await _receive(receiver, provider, request))
        # What was refused may still be coming in; closing spares us the rest.
        headers = {"Connection": "close"} if receipt.status >= 400 else {}
        return Response(receipt.content(), receipt.status, headers, "application/json")

    return Starlette(routes=[Route("/{provider}", post, methods=["POST"])])


async def _receive(receiver: WebhookReceiver, provider: str, request: Request) -> Receipt:
    if not receiver.knows(provider):
        return Receipt(
            404, "UnknownProvider", f"no webhook of {provider[:40]} is expected here", "configure its secret"
        )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"got content type {kind[:60] or 'none'}, expected application/json"
        return Receipt(415, "BadContentType", message, "choose it in the repository's webhook settings")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await read_body(request, limit=LARGEST_BODY_BYTES)
    except BodyTooLargeError as error:
        return Receipt(413, "TooLarge", error.message)
    except TimeoutError:
        return Receipt(408, "TooSlow", f"the body did not arrive within {BODY_SECONDS:g} s")
    except BodyInterruptedError as error:
        return Receipt(400, "Disconnected", error.message)
    return await receiver.receive(provider, {name.lower(): value for name, value in request.headers.items()}, body)


def _reason(error: TowpathError) -> str:
    return error.message.partition("(")[2].partition(")")[0]
