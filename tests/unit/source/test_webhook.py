import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count

import httpx
import pytest

from fakes.clock import START, VirtualClock
from towpath.errors import ConflictError, UserError
from towpath.http.server import Listener
from towpath.source.events import NO_COMMIT, PushEvent
from towpath.source.signatures import sign
from towpath.source.webhook import LARGEST_BODY_BYTES, WebhookReceiver, create_webhook_app, prepare_delivery

EVENT = PushEvent("lab", "refs/heads/main", NO_COMMIT, "a" * 40, 1234.5, "ada")
SECRET = "between us"
JSON = {"Content-Type": "application/json"}


class Listening:
    """Takes pushes, unless told to fail."""

    def __init__(self) -> None:
        self.events: list[PushEvent] = []
        self.error: Exception | None = None

    async def __call__(self, event: PushEvent) -> None:
        if self.error:
            raise self.error
        self.events.append(event)


@pytest.fixture
def listening() -> Listening:
    return Listening()


@pytest.fixture
def receiver(listening: Listening) -> WebhookReceiver:
    secrets = {"towpath": [SECRET], "github": ["old", "new"], "gitlab": [SECRET]}
    return WebhookReceiver(secrets, listening, clock=VirtualClock())


@pytest.fixture
async def client(receiver: WebhookReceiver) -> AsyncIterator[httpx.AsyncClient]:
    listener = Listener(create_webhook_app(receiver))
    await listener.start()
    async with httpx.AsyncClient(base_url=listener.url) as opened:
        yield opened
    await listener.close()


numbers = count()


async def deliver(
    client: httpx.AsyncClient, event: PushEvent = EVENT, *, secret: str = SECRET, identity: str = "", **changed: str
) -> httpx.Response:
    delivery = prepare_delivery(event, secret=secret, new_delivery_id=identity or f"id-{next(numbers)}")
    headers = {**delivery.headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return await client.post("/towpath", content=delivery.body, headers=headers)


def reason(response: httpx.Response) -> str:
    answer = response.json()
    return str(answer["error"]["reason"] if "error" in answer else answer["status"])


async def test_a_push_to_ourselves_arrives_as_it_was_sent(
    client: httpx.AsyncClient, receiver: WebhookReceiver, listening: Listening
) -> None:
    response = await deliver(client)
    assert (response.status_code, reason(response)) == (202, "accepted")
    assert response.headers["content-type"] == "application/json"
    assert listening.events == [EVENT]
    assert receiver.last_valid_at == {"towpath": START}
    assert receiver.received == {("towpath", "accepted"): 1}


async def test_a_bad_signature_is_refused_and_says_what_to_do(
    client: httpx.AsyncClient, receiver: WebhookReceiver, listening: Listening
) -> None:
    for response in (
        await deliver(client, secret="wrong"),
        await deliver(client, x_hub_signature_256="sha256=00"),
        await client.post("/towpath", content=b"{}", headers={"Content-Type": "application/json"}),
    ):
        assert response.status_code == 401
        assert response.json()["error"]["hint"]
    assert listening.events == []
    assert receiver.last_valid_at == {}


async def test_both_secrets_are_valid_while_one_is_changed(client: httpx.AsyncClient) -> None:
    for secret in ("old", "new"):
        body = b'{"zen":"Design for failure."}'
        headers = {
            "X-Hub-Signature-256": sign(secret, body),
            "X-GitHub-Event": "ping",
            "Content-Type": "application/json",
        }
        response = await client.post("/github", content=body, headers=headers)
        assert (response.status_code, reason(response)) == (200, "pong")


async def test_other_events_are_acknowledged_and_dropped(client: httpx.AsyncClient, listening: Listening) -> None:
    response = await deliver(client, X_GitHub_Event="issues")
    assert (response.status_code, reason(response)) == (202, "ignored")
    assert listening.events == []


async def test_a_replay_is_recognised_by_its_id_and_by_its_bytes(
    client: httpx.AsyncClient, listening: Listening
) -> None:
    await deliver(client, identity="one")
    again = await deliver(client, identity="one")
    with_another_id = await deliver(client, identity="two")
    assert [reason(again), reason(with_another_id)] == ["duplicate", "duplicate"]
    assert len(listening.events) == 1


async def test_the_same_delivery_twice_at_once_is_taken_once(receiver: WebhookReceiver, listening: Listening) -> None:
    delivery = prepare_delivery(EVENT, secret=SECRET, new_delivery_id="one")
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    receipts = await asyncio.gather(*(receiver.receive("towpath", headers, delivery.body) for _ in range(5)))
    assert sorted(receipt.reason for receipt in receipts) == ["accepted"] + ["duplicate"] * 4
    assert len(listening.events) == 1


async def test_an_unsigned_id_cannot_be_used_up_by_a_stranger(client: httpx.AsyncClient, listening: Listening) -> None:
    await deliver(client, identity="one", secret="wrong")
    assert (await deliver(client, identity="one")).status_code == 202
    assert len(listening.events) == 1


async def test_the_memory_of_deliveries_is_bounded(listening: Listening) -> None:
    receiver = WebhookReceiver({"towpath": [SECRET]}, listening, remembered_deliveries=3)
    for number in [0, 1, 2, 3, 1, 0]:
        event = PushEvent("lab", "refs/heads/main", NO_COMMIT, "a" * 40, float(number))
        delivery = prepare_delivery(event, secret=SECRET, new_delivery_id=str(number))
        headers = {name.lower(): value for name, value in delivery.headers.items()}
        await receiver.receive("towpath", headers, delivery.body)
    assert [event.received_at for event in listening.events] == [0, 1, 2, 3, 0]


async def test_what_the_listener_cannot_take_is_asked_for_again_and_then_taken(
    client: httpx.AsyncClient, listening: Listening
) -> None:
    listening.error = ConflictError("the platform is closing (Closing)")
    response = await deliver(client, identity="one")
    assert (response.status_code, reason(response)) == (503, "NotTaken")
    assert "the platform is closing" in response.text
    listening.error = None
    assert (await deliver(client, identity="one")).status_code == 202


async def test_an_unexpected_error_of_the_listener_is_not_shown(
    client: httpx.AsyncClient, listening: Listening
) -> None:
    listening.error = KeyError("s3cret")
    response = await deliver(client)
    assert response.status_code == 503
    assert "s3cret" not in response.text


async def test_junk_is_refused_before_it_is_read(client: httpx.AsyncClient, listening: Listening) -> None:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    head = (
        "POST /github HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\r\n"
    )
    writer.write(head.encode())  # and not a byte of the ten megabytes
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 413 " in status
    assert listening.events == []


async def test_junk_of_undeclared_length_is_cut_off(client: httpx.AsyncClient) -> None:
    sent = 0

    async def junk() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(160):
            sent += 65536
            yield b"x" * 65536

    headers = {"Content-Type": "application/json"}
    try:
        response = await client.post("/github", content=junk(), headers=headers)
    except httpx.TransportError:
        assert sent < 160 * 65536  # the connection was closed while we were still sending
    else:
        assert (response.status_code, reason(response)) == (413, "TooLarge")


async def test_a_body_of_the_largest_size_is_read(client: httpx.AsyncClient) -> None:
    body = b" " * LARGEST_BODY_BYTES
    headers = {**JSON, "X-Hub-Signature-256": sign("new", body), "X-GitHub-Event": "push"}
    assert reason(await client.post("/github", content=body, headers=headers)) == "NotJSON"


@pytest.mark.parametrize(
    ("path", "kind", "status", "expected"),
    [
        ("/bitbucket", "application/json", 404, "UnknownProvider"),
        ("/gitea", "application/json", 404, "UnknownProvider"),
        ("/github", "application/x-www-form-urlencoded", 415, "BadContentType"),
        ("/github", "", 415, "BadContentType"),
        ("/github", "application/json; charset=utf-8", 401, "MissingSignature"),
    ],
)
async def test_what_cannot_be_a_webhook_is_refused_with_the_reason(
    client: httpx.AsyncClient, path: str, kind: str, status: int, expected: str
) -> None:
    response = await client.post(path, content=b"{}", headers={"Content-Type": kind})
    assert (response.status_code, reason(response)) == (status, expected)


async def test_only_posts_are_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/github")).status_code == 405


async def test_a_signed_body_that_is_malformed_is_a_bad_request(client: httpx.AsyncClient) -> None:
    body = json.dumps({"ref": "main"}).encode()
    headers = {**JSON, "X-Hub-Signature-256": sign("new", body), "X-GitHub-Event": "push"}
    response = await client.post("/github", content=body, headers=headers)
    assert (response.status_code, reason(response)) == (400, "BadField")


async def test_gitlabs_token_and_events_are_understood(client: httpx.AsyncClient, listening: Listening) -> None:
    payload = {
        "ref": "refs/heads/main",
        "before": NO_COMMIT,
        "after": "b" * 40,
        "user_username": "jsmith",
        "project": {"path_with_namespace": "mike/diaspora"},
    }
    headers = {"X-Gitlab-Token": SECRET, "X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "1"}
    response = await client.post("/gitlab", json=payload, headers=headers)
    assert response.status_code == 202
    assert listening.events[0].repository == "mike/diaspora"


@pytest.mark.parametrize("secrets", [{"github": []}, {"github": [""]}, {"sourcehut": ["x"]}])
async def test_without_a_secret_nothing_is_received(secrets: dict[str, list[str]], listening: Listening) -> None:
    with pytest.raises(UserError):
        WebhookReceiver(secrets, listening)
