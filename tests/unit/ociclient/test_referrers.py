"""Referrers: listed by the registry, and by tag in registries that know nothing of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fakes.peer import serve_peer
from fakes.registry import password, push_bytes, push_image, serve_registry
from towpath.http.server import Listener
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullCause, PullError
from towpath.ociclient.referrers import describe_referrer, fallback_tag, with_entry

SBOM = "application/vnd.example.sbom"
SIGNATURE = "application/vnd.example.signature"


class OlderRegistry:
    """The product's registry without what distribution 1.1 added: no referrers, no word of subjects."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "/referrers/" in scope.get("path", ""):
            await Response(status_code=404)(scope, receive, send)
            return

        async def without_subject(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() != b"oci-subject"]
            await send(message)

        await self._app(scope, receive, without_subject)


Serve = Callable[[Path], AbstractAsyncContextManager[tuple[RegistryClient, Reference]]]


@asynccontextmanager
async def current_registry(root: Path) -> AsyncIterator[tuple[RegistryClient, Reference]]:
    async with serve_registry(root) as server:
        client = server.client()
        yield client, server.reference("lab/app")
        await client.close()


@asynccontextmanager
async def older_registry(root: Path) -> AsyncIterator[tuple[RegistryClient, Reference]]:
    async with serve_registry(root) as server:
        listener = Listener(OlderRegistry(server.app), grace_seconds=0.5)
        await listener.start()
        client = RegistryClient(keyring=Keyring.of({listener.address: Credential("admin", password("admin"))}))
        try:
            yield client, Reference.parse(f"{listener.address}/lab/app")
        finally:
            await client.close()
            await listener.close()


async def attach(client: RegistryClient, reference: Reference, subject: Descriptor, artifact_type: str) -> Digest:
    config = await push_bytes(client, reference, b"{}", media.OCI_EMPTY)
    payload = await push_bytes(client, reference, artifact_type.encode(), "application/json")
    bare = Descriptor(subject.media_type, subject.digest, subject.size)
    raw = format_manifest(Manifest(config, (payload,), {"note": artifact_type}, artifact_type, bare))
    return await client.push_manifest(reference.with_digest(Digest.of(raw)), raw, media.OCI_MANIFEST)


@pytest.mark.parametrize("serve", [current_registry, older_registry])
async def test_what_was_attached_is_listed_with_type_and_annotations(serve: Serve, tmp_path: Path) -> None:
    async with serve(tmp_path) as (client, reference):
        subject = await push_image(client, reference.with_tag("v1"))
        assert await client.referrers(reference.with_digest(subject.digest)) == ()
        sbom = await attach(client, reference, subject, SBOM)
        signature = await attach(client, reference, subject, SIGNATURE)
        assert await attach(client, reference, subject, SBOM) == sbom
        found = await client.referrers(reference.with_digest(subject.digest))
        assert {(one.digest, one.artifact_type, one.annotations["note"]) for one in found} == {
            (sbom, SBOM, SBOM),
            (signature, SIGNATURE, SIGNATURE),
        }
        only = await client.referrers(reference.with_digest(subject.digest), artifact_type=SIGNATURE)
        assert [one.digest for one in only] == [signature]


async def test_only_a_registry_without_referrers_gets_the_tag_that_lists_them(tmp_path: Path) -> None:
    registries: list[tuple[Serve, bool]] = [(current_registry, False), (older_registry, True)]
    for serve, expected in registries:
        async with serve(tmp_path / str(expected)) as (client, reference):
            subject = await push_image(client, reference.with_tag("v1"))
            await attach(client, reference, subject, SBOM)
            assert (fallback_tag(subject.digest) in await client.tags(reference)) is expected


async def test_a_registry_that_sends_unknown_paths_to_a_page_for_people_has_no_referrers() -> None:
    digest = Digest.of(b"subject")
    page: Callable[[Request], Response] = lambda _request: RedirectResponse("https://example.invalid/ui", 303)  # noqa: E731
    async with serve_peer({f"GET /v2/app/referrers/{digest}": page}) as peer:
        client = RegistryClient()
        assert await client.referrers(Reference.parse(f"{peer.host}/app@{digest}")) == ()
        await client.close()


async def test_the_pages_of_a_long_list_are_joined() -> None:
    digest = Digest.of(b"subject")
    entries = [Descriptor(media.OCI_MANIFEST, Digest.of(bytes([n])), 2, artifact_type=SBOM) for n in range(2)]

    def page(request: Request) -> Response:
        number = int(request.query_params.get("page", "0"))
        headers = {"Link": f'</v2/app/referrers/{digest}?page=1>; rel="next"'} if number == 0 else {}
        return Response(format_manifest(Index((entries[number],))), 200, headers)

    async with serve_peer({f"GET /v2/app/referrers/{digest}": page}) as peer:
        client = RegistryClient()
        assert await client.referrers(Reference.parse(f"{peer.host}/app@{digest}")) == tuple(entries)
        await client.close()


async def test_a_list_that_is_no_index_is_refused() -> None:
    digest = Digest.of(b"subject")
    body = Response(b'{"schemaVersion":2,"config":{},"layers":[]}', 200)
    async with serve_peer({f"GET /v2/app/referrers/{digest}": body}) as peer:
        client = RegistryClient()
        with pytest.raises(PullError) as caught:
            await client.referrers(Reference.parse(f"{peer.host}/app@{digest}"))
        assert caught.value.cause is PullCause.INVALID_CONTENT
        await client.close()


async def test_referrers_of_a_tag_are_a_mistake_of_the_caller() -> None:
    client = RegistryClient()
    with pytest.raises(ValueError, match="has no digest"):
        await client.referrers(Reference.parse("127.0.0.1:1/app:v1"))
    await client.close()


def test_the_tag_of_a_long_digest_is_cut_to_fit() -> None:
    digest = Digest.of(b"", "sha512")
    assert fallback_tag(digest) == f"sha512-{digest.hex[:64]}"


def test_a_manifest_without_subject_refers_to_nothing() -> None:
    config = Descriptor(media.OCI_CONFIG, Digest.of(b"{}"), 2)
    raw = format_manifest(Manifest(config, ()))
    assert describe_referrer(raw, media.OCI_MANIFEST, Digest.of(raw)) is None
    assert describe_referrer(b"signed in some older way", "application/x", Digest.of(b"")) is None


def test_the_type_of_an_artifact_without_one_is_its_configurations() -> None:
    config = Descriptor(SIGNATURE, Digest.of(b"{}"), 2)
    subject = Descriptor(media.OCI_MANIFEST, Digest.of(b"x"), 1)
    raw = format_manifest(Manifest(config, (), subject=subject))
    found = describe_referrer(raw, media.OCI_MANIFEST, Digest.of(raw))
    assert found is not None
    assert (found[0], found[1].artifact_type) == (subject, SIGNATURE)


def test_an_entry_is_listed_once() -> None:
    entry = Descriptor(media.OCI_MANIFEST, Digest.of(b"x"), 1)
    assert with_entry(with_entry((), entry), entry) == (entry,)
