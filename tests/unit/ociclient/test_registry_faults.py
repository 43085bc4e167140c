"""The client against scripted peers: what dishonest, broken and unusual registries do."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from fakes.peer import Answer, serve_peer
from towpath.aio.clock import SystemClock
from towpath.http.client import HttpClient
from towpath.http.hosts import is_loopback
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorEntry, format_errors
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.manifest import Index, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.authorization import Authorizer, TokenFailureError
from towpath.ociclient.client import MANIFEST_LIMIT, RegistryClient
from towpath.ociclient.errors import CorruptContentError, PullCause, PullError, PushError
from towpath.ociclient.session import Call, Session

CONTENT = b"0123456789"
BLOB = Descriptor(media.OCI_LAYER, Digest.of(CONTENT), len(CONTENT))
RAW = format_manifest(Index(()))
MANIFEST = Response(RAW, 200, {"Content-Type": media.OCI_INDEX})
HEAD_BLOB = f"HEAD /v2/app/blobs/{BLOB.digest}"
GET_BLOB = f"GET /v2/app/blobs/{BLOB.digest}"
GET_MANIFEST = "GET /v2/app/manifests/v1"


class HastyClock(SystemClock):
    """Does not wait between attempts."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0 * seconds)


def client_for(*hosts: str) -> RegistryClient:
    keyring = Keyring.of({host: Credential("ada", "hunter2") for host in hosts})
    return RegistryClient(keyring=keyring, clock=HastyClock(), timeout_seconds=5)


def reference(host: str) -> Reference:
    return Reference.parse(f"{host}/app:v1")


def challenge(realm: str, status: int = 401) -> Response:
    return Response(status_code=status, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})


def demand_token(granted: Response) -> Answer:
    """Grants to a request with the right token, else challenges with this host's own token server."""

    def answer(request: Request) -> Response:
        if request.headers.get("authorization") == "Bearer good":
            return granted
        return challenge(f"http://{request.headers['host']}/token")

    return answer


def token(document: object, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status)


async def test_a_token_is_fetched_once_and_used_again() -> None:
    async with serve_peer({GET_MANIFEST: demand_token(MANIFEST), "GET /token": token({"token": "good"})}) as peer:
        client = client_for(peer.host)
        for _ in range(3):
            assert (await client.manifest(reference(peer.host))).content == RAW
        assert peer.lines == [GET_MANIFEST, "GET /token", GET_MANIFEST, GET_MANIFEST, GET_MANIFEST]
        asked = peer.requests[1]
        assert asked.query == "service=s&scope=repository%3Aapp%3Apull"
        assert asked.headers["authorization"].startswith("Basic ")
        await client.close()


async def test_requests_at_the_same_time_share_the_challenge_and_the_token() -> None:
    async with serve_peer({GET_MANIFEST: demand_token(MANIFEST), "GET /token": token({"token": "good"})}) as peer:
        client = client_for(peer.host)
        await asyncio.gather(*(client.manifest(reference(peer.host)) for _ in range(3)))
        assert peer.lines == [GET_MANIFEST, "GET /token", GET_MANIFEST, GET_MANIFEST, GET_MANIFEST]
        await client.close()


async def test_after_a_first_request_that_failed_the_others_ask_for_themselves() -> None:
    async with serve_peer({GET_MANIFEST: demand_token(MANIFEST), "GET /token": token({"token": "good"})}) as peer:
        client = client_for(peer.host)
        first = asyncio.create_task(client.manifest(reference(peer.host)))
        second = asyncio.create_task(client.manifest(reference(peer.host)))
        await asyncio.sleep(0)  # both have begun
        first.cancel()
        assert (await second).content == RAW
        await client.close()


async def test_a_token_that_expires_is_fetched_again() -> None:
    class Late(HastyClock):
        elapsed = 0.0

        def monotonic(self) -> float:
            return self.elapsed

    clock = Late()
    answers: dict[str, Answer | list[Answer]] = {
        GET_MANIFEST: demand_token(MANIFEST),
        "GET /token": token({"access_token": "good", "expires_in": 300}),
    }
    async with serve_peer(answers) as peer:
        client = RegistryClient(clock=clock)
        await client.manifest(reference(peer.host))
        clock.elapsed = 280
        await client.manifest(reference(peer.host))
        assert peer.lines.count("GET /token") == 1
        clock.elapsed = 295
        await client.manifest(reference(peer.host))
        assert peer.lines.count("GET /token") == 2
        await client.close()


@pytest.mark.parametrize("document", [{}, [], {"token": 1}, {"token": "a\nb"}, {"token": "x", "expires_in": "soon"}])
async def test_an_answer_without_a_token_is_the_servers_fault(document: object) -> None:
    async with serve_peer({GET_MANIFEST: demand_token(MANIFEST), "GET /token": token(document)}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError, match="ServerError"):
            await client.manifest(reference(peer.host))
        await client.close()


@pytest.mark.parametrize(("status", "text"), [(401, "401 Unauthorized"), (403, "403 Forbidden")])
async def test_a_refusing_token_server_reads_as_in_containerd(status: int, text: str) -> None:
    refusal = Response(format_errors(ErrorEntry("DENIED", "denied")), status)
    async with serve_peer({GET_MANIFEST: demand_token(MANIFEST), "GET /token": refusal}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError) as caught:
            await client.manifest(reference(peer.host))
        assert caught.value.containerd_text().endswith(f"failed to fetch oauth token: unexpected status: {text}")
        assert "DENIED: denied" in caught.value.message
        assert "hunter2" not in caught.value.diagnostics()
        await client.close()


@pytest.mark.parametrize("realm", ["http://evil.example/token", "ftp://x/", "/token", "", "https:///token"])
async def test_a_password_never_goes_to_an_unsafe_token_server(realm: str) -> None:
    async with serve_peer({GET_MANIFEST: challenge(realm)}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError, match=r"TokenRefused.*not safe"):
            await client.manifest(reference(peer.host))
        assert all("authorization" not in received.headers for received in peer.requests)
        await client.close()


async def test_basic_authentication_is_understood() -> None:
    def answer(request: Request) -> Response:
        known = request.headers.get("authorization", "").startswith("Basic ")
        return MANIFEST if known else Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    async with serve_peer({GET_MANIFEST: answer}) as peer:
        client = client_for(peer.host)
        assert (await client.manifest(reference(peer.host))).content == RAW
        await client.close()


@pytest.mark.parametrize(
    ("status", "cause", "text"),
    [
        (403, PullCause.FORBIDDEN, "failed with status code [manifests v1]: 403 Forbidden"),
        (500, PullCause.SERVER_ERROR, "failed with status code [manifests v1]: 500 Internal Server Error"),
        (429, PullCause.RATE_LIMITED, "failed with status code [manifests v1]: 429 Too Many Requests"),
    ],
)
async def test_a_refusing_registry_reads_as_in_containerd(status: int, cause: PullCause, text: str) -> None:
    async with serve_peer({GET_MANIFEST: Response(status_code=status)}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError) as caught:
            await client.manifest(reference(peer.host))
        assert caught.value.cause == caught.value.failure.cause == cause
        assert caught.value.containerd_text("as-in-the-pod").endswith(f"pulling from host {peer.host} {text}")
        assert 'failed to pull and unpack image "as-in-the-pod": ' in caught.value.containerd_text("as-in-the-pod")
        await client.close()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "500 Internal Server Error"),
        (
            b'{"errors":[{"code":"BLOB_UNKNOWN","message":"its file is gone"}]}',
            "500 Internal Server Error - Server message: blob unknown: its file is gone",
        ),
    ],
)
async def test_a_registry_that_fails_to_give_content_reads_as_in_containerd(body: bytes, text: str) -> None:
    async with serve_peer({GET_BLOB: Response(body, status_code=500)}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError) as caught:
            await client.read_blob(reference(peer.host), BLOB)
        url = f"http://{peer.host}{GET_BLOB.partition(' ')[2]}"
        said = f"failed to copy: httpReadSeeker: failed open: unexpected status code {url}: {text}"
        assert caught.value.containerd_text().endswith(said)
        await client.close()


async def test_a_redirect_to_another_host_gets_no_credentials() -> None:
    async with serve_peer({"GET /cdn": Response(CONTENT)}) as other:
        moved = Response(status_code=307, headers={"Location": f"http://{other.host}/cdn"})
        async with serve_peer({GET_BLOB: demand_token(moved), "GET /token": token({"token": "good"})}) as peer:
            client = client_for(peer.host, other.host)
            assert await client.read_blob(reference(peer.host), BLOB) == CONTENT
            assert peer.requests[-1].headers["authorization"] == "Bearer good"
            assert "authorization" not in other.requests[0].headers
            await client.close()


async def test_a_redirect_within_the_host_keeps_them() -> None:
    moved = demand_token(Response(status_code=302, headers={"Location": "/else"}))
    answers: dict[str, Answer | list[Answer]] = {
        GET_BLOB: moved,
        "GET /else": demand_token(Response(CONTENT)),
        "GET /token": token({"token": "good"}),
    }
    async with serve_peer(answers) as peer:
        client = client_for(peer.host)
        assert await client.read_blob(reference(peer.host), BLOB) == CONTENT
        await client.close()


@pytest.mark.parametrize("location", ["http://evil.example/x", "file:///etc/passwd", GET_BLOB.removeprefix("GET ")])
async def test_unsafe_and_endless_redirects_are_refused(location: str) -> None:
    async with serve_peer({GET_BLOB: Response(status_code=307, headers={"Location": location})}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError, match=r"ServerError.*redirect"):
            await client.read_blob(reference(peer.host), BLOB)
        assert len(peer.requests) <= 5
        await client.close()


async def test_a_registry_on_the_network_cannot_send_us_to_a_service_of_this_machine() -> None:
    async with serve_peer() as local:
        http = HttpClient()
        session = Session(http, Keyring(), plain_http=is_loopback, clock=HastyClock())
        upload = Call("PUT", f"http://{local.host}/upload", (), PushError)
        with pytest.raises(PushError, match="not safe to ask"):
            await session.call(Reference.parse("registry.example/app:v1"), upload)
        assert local.requests == []
        await http.close()


async def test_a_registry_on_the_network_cannot_name_a_token_server_on_this_machine() -> None:
    async with serve_peer({"GET /token": token({"token": "good"})}) as local:
        http = HttpClient()
        authorizer = Authorizer(http, plain_http=is_loopback, clock=HastyClock())
        authorizer.learn("registry.example", f'Bearer realm="http://{local.host}/token",service="s"')
        with pytest.raises(TokenFailureError, match="not safe to ask"):
            await authorizer.authorize("registry.example", Credential("ada", "hunter2"), ())
        assert local.requests == []
        await http.close()


@pytest.mark.parametrize("content", [b"012345678!", b"012345678", CONTENT + b"!", b""])
async def test_a_blob_that_is_not_its_digest_is_an_integrity_error(content: bytes) -> None:
    async with serve_peer({GET_BLOB: Response(content)}) as peer:
        client = client_for(peer.host)
        with pytest.raises(CorruptContentError):
            await client.read_blob(reference(peer.host), BLOB)
        await client.close()


@pytest.mark.parametrize("honours_ranges", [True, False])
async def test_a_broken_transfer_is_resumed(honours_ranges: bool) -> None:
    ranges = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        start = int(head.partition("range: bytes=")[2].partition("-")[0] or 0)
        ranges.append(start)
        sent = CONTENT[start:] if honours_ranges else CONTENT
        status = "206 Partial Content" if start and honours_ranges else "200 OK"
        cut = len(sent) if len(ranges) > 2 else len(sent) // 2
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent[:cut])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        client = client_for()
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await client.read_blob(reference(host), BLOB) == CONTENT
        await client.close()
    assert ranges == ([0, 5, 7] if honours_ranges else [0, 5, 5])


async def test_a_transfer_that_always_breaks_is_given_up() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        client = client_for()
        with pytest.raises(PullError, match="Unreachable"):
            await client.read_blob(reference(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"), BLOB)
        await client.close()


async def test_a_manifest_that_is_not_its_digest_is_an_integrity_error() -> None:
    lying = Response(RAW, 200, {"Content-Type": media.OCI_INDEX, "Docker-Content-Digest": str(BLOB.digest)})
    async with serve_peer({GET_MANIFEST: lying, f"GET /v2/app/manifests/{BLOB.digest}": MANIFEST}) as peer:
        client = client_for(peer.host)
        for asked in (reference(peer.host), reference(peer.host).with_digest(BLOB.digest)):
            with pytest.raises(CorruptContentError, match="manifest has digest"):
                await client.manifest(asked)
        await client.close()


async def test_a_registry_that_names_no_digest_is_asked_for_the_content() -> None:
    async with serve_peer({GET_MANIFEST: MANIFEST, GET_MANIFEST.replace("GET", "HEAD"): MANIFEST}) as peer:
        client = client_for(peer.host)
        found = await client.resolve(reference(peer.host))
        assert (found.digest, found.size, found.media_type) == (Digest.of(RAW), len(RAW), media.OCI_INDEX)
        await client.close()


@pytest.mark.parametrize("raw", [b"<html>", b"{}", b"x" * (MANIFEST_LIMIT + 1)])
async def test_what_is_no_manifest_is_refused(raw: bytes) -> None:
    async with serve_peer({GET_MANIFEST: Response(raw)}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError, match="InvalidContent"):
            await client.image(reference(peer.host), Platform("linux", "amd64"))
        await client.close()


async def test_a_malformed_digest_header_is_refused() -> None:
    lying = Response(RAW, 200, {"Docker-Content-Digest": "sha256:../../x"})
    async with serve_peer({GET_MANIFEST: lying}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PullError, match="InvalidContent"):
            await client.manifest(reference(peer.host))
        await client.close()


async def test_all_pages_of_tags_are_read_from_this_host_only() -> None:
    def page(request: Request) -> Response:
        if request.query_params.get("last") == "b":
            return Response(orjson.dumps({"name": "app", "tags": ["c"]}))
        link = '<http://evil.example/v2/app/tags/list?n=2&last=b>; rel="next"'
        return Response(orjson.dumps({"name": "app", "tags": ["a", "b"]}), 200, {"Link": link})

    async with serve_peer({"GET /v2/app/tags/list": page}) as peer:
        client = client_for(peer.host)
        assert await client.tags(reference(peer.host)) == ["a", "b", "c"]
        await client.close()


@pytest.mark.parametrize(
    ("body", "tags"), [(b'{"tags":null}', []), (b"{}", []), (b"[]", None), (b'{"tags":[1]}', None), (b"<html>", None)]
)
async def test_unusual_tag_lists(body: bytes, tags: list[str] | None) -> None:
    async with serve_peer({"GET /v2/app/tags/list": Response(body)}) as peer:
        client = client_for(peer.host)
        if tags is None:
            with pytest.raises(PullError, match="tag list is"):
                await client.tags(reference(peer.host))
        else:
            assert await client.tags(reference(peer.host)) == tags
        await client.close()


async def open_blob() -> AsyncIterator[bytes]:
    yield CONTENT[:4]
    yield CONTENT[4:]


async def test_an_upload_that_fails_half_way_begins_anew() -> None:
    answers: dict[str, Answer | list[Answer]] = {
        "POST /v2/app/blobs/uploads/": [
            Response(status_code=202, headers={"Location": "/upload/1?state=x"}),
            Response(status_code=202, headers={"Location": "/upload/2?state=y"}),
        ],
        "PUT /upload/1": Response(status_code=500),
        "PUT /upload/2": Response(status_code=201),
    }
    async with serve_peer(answers) as peer:
        client = client_for(peer.host)
        assert await client.push_blob(reference(peer.host), BLOB, open_blob) is True
        assert peer.lines == [
            HEAD_BLOB,
            *("POST /v2/app/blobs/uploads/", "PUT /upload/1"),
            "POST /v2/app/blobs/uploads/",
            "PUT /upload/2",
        ]
        assert peer.requests[-1].query == f"state=y&digest=sha256%3A{BLOB.digest.hex}"
        assert [received.body for received in peer.requests if received.line.startswith("PUT")] == [CONTENT, CONTENT]
        await client.close()


async def test_a_push_that_always_fails_is_given_up() -> None:
    answers: dict[str, Answer | list[Answer]] = {
        "POST /v2/app/blobs/uploads/": Response(status_code=202, headers={"Location": "/upload"}),
        "PUT /upload": Response(format_errors(ErrorEntry("UNKNOWN", "no space")), 507),
    }
    async with serve_peer(answers) as peer:
        client = client_for(peer.host)
        with pytest.raises(PushError, match=r"ServerError.*507.*no space"):
            await client.push_blob(reference(peer.host), BLOB, open_blob)
        assert peer.lines.count("PUT /upload") == 3
        await client.close()


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
async def test_an_upload_without_a_location_is_refused(headers: dict[str, str]) -> None:
    async with serve_peer({"POST /v2/app/blobs/uploads/": Response(status_code=202, headers=headers)}) as peer:
        client = client_for(peer.host)
        with pytest.raises(PushError, match="without saying where"):
            await client.push_blob(reference(peer.host), BLOB, open_blob)
        await client.close()


async def test_a_mount_is_offered_with_both_scopes() -> None:
    answers: dict[str, Answer | list[Answer]] = {
        HEAD_BLOB: demand_token(Response(status_code=404)),
        "POST /v2/app/blobs/uploads/": demand_token(Response(status_code=201)),
        "GET /token": token({"token": "good"}),
    }
    async with serve_peer(answers) as peer:
        client = client_for(peer.host)
        assert await client.push_blob(reference(peer.host), BLOB, open_blob, mount_from="base/image") is False
        scopes = [received.query for received in peer.requests if received.line == "GET /token"][-1]
        assert "repository%3Aapp%3Apull%2Cpush" in scopes
        assert "repository%3Abase%2Fimage%3Apull" in scopes
        assert peer.requests[-1].query == f"mount=sha256%3A{BLOB.digest.hex}&from=base%2Fimage"
        await client.close()


@pytest.mark.parametrize(
    ("detail", "hint"),
    [
        ({"next": "towpath registry collect"}, "the registry advises: towpath registry collect"),
        ({"next": "one\x1b[2J\ntwo" + "x" * 9999}, "the registry advises: one[2Jtwo" + "x" * 245),
        ({"next": 7}, "the credentials are known but not for this: widen their grant"),
        (["next"], "the credentials are known but not for this: widen their grant"),
        (None, "the credentials are known but not for this: widen their grant"),
    ],
)
async def test_a_registry_that_says_what_would_help_is_quoted(detail: object, hint: str) -> None:
    entry = ErrorEntry("DENIED", "app cannot take more (QuotaExceeded): 2 MiB, and the quota is 1 MiB", detail)
    refusal = Response(format_errors(entry), 403)
    async with serve_peer({HEAD_BLOB: Response(status_code=404), "POST /v2/app/blobs/uploads/": refusal}) as peer:
        client = client_for(peer.host)

        async def content() -> AsyncIterator[bytes]:
            yield CONTENT

        with pytest.raises(PushError) as caught:
            await client.push_blob(reference(peer.host), BLOB, content)
        await client.close()
    assert "QuotaExceeded" in caught.value.message
    assert caught.value.hint == hint
