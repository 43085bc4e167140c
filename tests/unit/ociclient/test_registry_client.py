"""The client against the product's own registry: what succeeds, and what a kubelet would say."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.registry import password, push_bytes, push_image, serve_registry
from towpath.http.client import UnreachableError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.manifest import Index, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import (
    CorruptContentError,
    DeleteError,
    PullCause,
    PullError,
    PushError,
    TagTakenError,
    describe_unreachable,
)

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64", "v8")


async def test_an_image_comes_back_as_it_was_pushed(tmp_path: Path) -> None:
    layers = (b"", b"small", os.urandom(3_000_000))
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app:sha-0123456")
        pushed = await push_image(client, reference, layers=layers, labels={"a": "b"})
        assert (await client.resolve(reference)).digest == pushed.digest
        image = await client.image(reference, AMD64)
        assert image.reference == reference.with_digest(pushed.digest)
        assert (image.descriptor.digest, image.config.labels) == (pushed.digest, {"a": "b"})
        pulled = [await client.read_blob(reference, layer) for layer in image.manifest.layers]
        assert pulled == list(layers)
        assert await client.tags(reference) == ["sha-0123456"]
        await client.close()


async def test_a_blob_that_is_there_is_not_sent_again(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app")
        content = b"layer"
        descriptor = Descriptor(media.OCI_LAYER, Digest.of(content), len(content))

        async def open_blob() -> AsyncIterator[bytes]:
            for byte in content:
                yield bytes([byte])

        assert await client.find_blob(reference, descriptor.digest) is None
        assert await client.push_blob(reference, descriptor, open_blob) is True
        assert await client.find_blob(reference, descriptor.digest) == 5
        assert await client.push_blob(reference, descriptor, open_blob) is False
        other = server.reference("lab/other")
        assert await client.push_blob(other, descriptor, open_blob, mount_from="lab/app") is False
        assert await client.read_blob(other, descriptor) == content
        absent = server.reference("lab/third")
        assert await client.push_blob(absent, descriptor, open_blob, mount_from="lab/nowhere") is True
        await client.close()


async def test_content_that_is_not_its_digest_is_not_pushed(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app:canary")
        wrong = Descriptor(media.OCI_LAYER, Digest.of(b"other"), 5)

        async def open_blob() -> AsyncIterator[bytes]:
            yield b"layer"

        with pytest.raises(CorruptContentError, match="DigestMismatch"):
            await client.push_blob(reference, wrong, open_blob)
        with pytest.raises(CorruptContentError, match="the manifest has digest"):
            await client.push_manifest(reference.with_digest(wrong.digest), b"{}", media.OCI_MANIFEST)
        assert await client.find_blob(reference, wrong.digest) is None
        await client.close()


async def test_an_artifact_tag_is_taken_for_ever(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app:sha-0123456")
        await push_image(client, reference, layers=(b"one",))
        await push_image(client, reference, layers=(b"one",))
        with pytest.raises(TagTakenError, match="sha-0123456 is immutable"):
            await push_image(client, reference, layers=(b"two",))
        await client.close()


async def test_the_image_of_a_platform_is_found_through_indexes(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app:multi")
        amd64 = await push_image(client, server.reference("lab/app:a"), platform=AMD64)
        arm64 = await push_image(client, server.reference("lab/app:b"), platform=ARM64)
        inner = format_manifest(Index((arm64,)))
        nested = await client.push_manifest(server.reference("lab/app:inner"), inner, media.OCI_INDEX)
        outer = Index((amd64, Descriptor(media.OCI_INDEX, nested, len(inner), platform=ARM64)))
        await client.push_manifest(reference, format_manifest(outer), media.OCI_INDEX)
        assert (await client.image(reference, AMD64)).descriptor.digest == amd64.digest
        assert (await client.image(reference, Platform("linux", "arm64"))).descriptor.digest == arm64.digest
        for missing in (reference, server.reference("lab/app:a")):
            with pytest.raises(PullError, match="NoPlatform") as caught:
                await client.image(missing, Platform("linux", "riscv64"))
            assert caught.value.containerd_text().endswith("no match for platform in manifest: not found")
        await client.close()


async def test_tags_and_manifests_are_deleted(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app:canary")
        pushed = await push_image(client, reference)
        await client.delete(reference)
        assert await client.tags(reference) == []
        await client.delete(reference.with_digest(pushed.digest))
        with pytest.raises(DeleteError, match="NotFound"):
            await client.delete(reference.with_digest(pushed.digest))
        await client.close()


@pytest.mark.parametrize(
    ("user", "name", "cause", "code", "text"),
    [
        ("reader", "lab/app:nope", PullCause.NOT_FOUND, "NotFound", "{X}: not found"),
        ("reader", "lab/nope:v1", PullCause.NOT_FOUND, "NotFound", "{X}: not found"),
        (
            "",
            "lab/app:canary",
            PullCause.TOKEN_REFUSED,
            "Unknown",
            "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        ),
        (
            "nobody",
            "lab/app:canary",
            PullCause.TOKEN_REFUSED,
            "Unknown",
            "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized",
        ),
        (
            "stranger",
            "lab/app:canary",
            PullCause.ACCESS_DENIED,
            "Unknown",
            (
                "pull access denied, repository does not exist or may require authorization: "
                "server message: insufficient_scope: authorization failed"
            ),
        ),
    ],
)
async def test_a_failed_pull_reads_as_in_containerd(
    tmp_path: Path, user: str, name: str, cause: PullCause, code: str, text: str
) -> None:
    async with serve_registry(tmp_path) as server:
        admin = server.client()
        await push_image(admin, server.reference("lab/app:canary"))
        await admin.close()
        client, reference = server.client(user), server.reference(name)
        with pytest.raises(PullError) as caught:
            await client.resolve(reference)
        shown = str(reference)
        head = f'failed to pull and unpack image "{shown}": failed to resolve reference "{shown}": '
        assert caught.value.containerd_text() == head + text.replace("{X}", shown)
        assert (caught.value.cause, caught.value.grpc_code) == (cause, code)
        assert password(user) not in caught.value.diagnostics() or not user
        await client.close()


async def test_a_registry_that_is_down_is_named(unused_tcp_port: int) -> None:
    client = RegistryClient()
    reference = Reference.parse(f"127.0.0.1:{unused_tcp_port}/lab/app:canary")
    with pytest.raises(PullError, match="Unreachable") as caught:
        await client.resolve(reference)
    url = f"http://127.0.0.1:{unused_tcp_port}/v2/lab/app/manifests/canary"
    cause = f"dial tcp 127.0.0.1:{unused_tcp_port}: connect: connection refused"
    assert caught.value.containerd_text().endswith(f'failed to do request: Head "{url}": {cause}')
    await client.close()


def test_a_name_that_does_not_resolve_reads_as_in_containerd() -> None:
    unreachable = UnreachableError("HEAD", "https://registry.invalid/v2/app/manifests/v1", "no such host", sent=False)
    error = PullError(Reference.parse("registry.invalid/app:v1"), describe_unreachable(unreachable))
    assert error.containerd_text().endswith(
        'Head "https://registry.invalid/v2/app/manifests/v1": dial tcp: lookup registry.invalid: no such host'
    )


async def test_every_matching_credential_is_tried_and_the_right_one_remembered(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        admin, reference = server.client(), server.reference("lab/app:canary")
        await push_image(admin, reference)
        await admin.close()
        keyring = Keyring.of(
            {
                f"{server.host}/lab/app": Credential("reader", "wrong"),
                f"{server.host}/lab": Credential("stranger", password("stranger")),
                server.host: Credential("reader", password("reader")),
            }
        )
        client = RegistryClient(keyring=keyring)
        assert (await client.image(reference, AMD64)).config.platform == AMD64
        await client.close()


async def test_a_push_without_the_right_is_refused(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client = server.client("reader")
        with pytest.raises(PushError, match=r"push of .* failed \(AccessDenied\)"):
            await push_bytes(client, server.reference("lab/app:canary"), b"x", media.OCI_LAYER)
        await client.close()


async def test_an_incomplete_image_is_told_from_a_missing_one(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app:canary")
        await push_image(client, reference)
        config = (await client.image(reference, AMD64)).manifest.config.digest
        server.registry._require()[1]._writer.execute("DELETE FROM links WHERE digest = ?", (str(config),))
        with pytest.raises(PullError, match="ContentMissing") as caught:
            await client.image(reference, AMD64)
        url = f"http://{server.host}/v2/lab/app/blobs/{config}"
        text = f"failed to copy: httpReadSeeker: failed open: content at {url} not found: not found"
        assert caught.value.containerd_text().endswith(text)
        await client.close()
