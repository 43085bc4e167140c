"""Copies between two real registries: everything by digest, in the order of dependence, and never twice."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fakes.registry import RegistryServer, password, push_bytes, push_image, serve_registry
from towpath.http.server import Listener
from towpath.oci import media
from towpath.oci.annotations import SERVICE
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode, ErrorEntry, format_errors
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.copy import Copier
from towpath.ociclient.errors import CorruptContentError, PullCause, PullError, TagTakenError
from towpath.registry.errors import RegistryError

ARM64 = Platform("linux", "arm64")


@dataclass
class Pair:
    """Two registries and a client of each."""

    source: RegistryServer
    target: RegistryServer
    reader: RegistryClient
    writer: RegistryClient

    def copier(self) -> Copier:
        return Copier(self.reader, self.writer)


@asynccontextmanager
async def two_registries(root: Path) -> AsyncIterator[Pair]:
    async with serve_registry(root / "source") as source, serve_registry(root / "target") as target:
        reader, writer = source.client(), target.client()
        try:
            yield Pair(source, target, reader, writer)
        finally:
            await reader.close()
            await writer.close()


async def read_all(client: RegistryClient, reference: Reference) -> list[bytes]:
    image = await client.image(reference, Platform("linux", "amd64"))
    return [await client.read_blob(reference, blob) for blob in image.manifest.blobs]


async def test_an_image_arrives_whole_under_its_tag_and_digest(tmp_path: Path) -> None:
    async with two_registries(tmp_path) as pair:
        source, target = pair.source.reference("lab/app:v1"), pair.target.reference("copy/app:v1")
        layers = (b"small", os.urandom(2_000_000))
        pushed = await push_image(pair.reader, source, layers=layers)
        progress: list[int] = []
        done = await Copier(pair.reader, pair.writer, on_bytes=progress.append).copy(source, target)
        assert done.digest == pushed.digest == (await pair.writer.resolve(target)).digest
        assert (done.sent, done.present, done.mounted) == (3, 0, 0)
        assert done.bytes_sent == sum(progress)
        assert await read_all(pair.writer, target) == await read_all(pair.reader, source)


async def test_a_second_copy_sends_nothing(tmp_path: Path) -> None:
    async with two_registries(tmp_path) as pair:
        source, target = pair.source.reference("lab/app:v1"), pair.target.reference("copy/app:v1")
        await push_image(pair.reader, source)
        await pair.copier().copy(source, target)
        pair.target.pushes.clear()
        again = await pair.copier().copy(source, target)
        assert (again.sent, again.bytes_sent, again.present) == (0, 0, 2)
        assert pair.target.pushes == []


async def test_a_blob_that_another_repository_of_the_target_has_is_mounted(tmp_path: Path) -> None:
    async with two_registries(tmp_path) as pair:
        base = os.urandom(500_000)
        for name in ("one", "two"):
            source = pair.source.reference(f"lab/{name}:v1")
            await push_image(pair.reader, source, layers=(base, name.encode()), labels={"name": name})
        copier = pair.copier()
        await copier.copy(pair.source.reference("lab/one:v1"), pair.target.reference("copy/one"))
        second = await copier.copy(pair.source.reference("lab/two:v1"), pair.target.reference("copy/two"))
        assert (second.mounted, second.sent) == (1, 2)
        assert second.bytes_sent < len(base)


async def test_within_one_registry_everything_is_mounted(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client = server.client()
        await push_image(client, server.reference("lab/app:v1"))
        done = await Copier(client, client).copy(server.reference("lab/app:v1"), server.reference("other/app:v1"))
        assert (done.mounted, done.sent) == (2, 0)
        await client.close()


async def test_an_index_comes_with_its_images_and_what_refers_to_it(tmp_path: Path) -> None:
    async with two_registries(tmp_path) as pair:
        source = pair.source.reference("lab/app")
        entries = [
            await push_image(pair.reader, source, labels={"on": platform.architecture}, platform=platform)
            for platform in (Platform("linux", "amd64"), ARM64)
        ]
        raw = format_manifest(Index(tuple(entries)))
        digest = await pair.reader.push_manifest(source.with_tag("v1"), raw, media.OCI_INDEX)
        config = await push_bytes(pair.reader, source, b"{}", media.OCI_EMPTY)
        note = format_manifest(
            Manifest(config, (config,), {}, "application/x.note", Descriptor(media.OCI_INDEX, digest, len(raw)))
        )
        await pair.reader.push_manifest(source.with_digest(Digest.of(note)), note, media.OCI_MANIFEST)
        target = pair.target.reference("copy/app:v1")
        await pair.copier().copy(source.with_tag("v1"), target)
        assert (await pair.writer.image(target, ARM64)).descriptor.digest == entries[1].digest
        listed = await pair.writer.referrers(replace(target, tag="", digest=digest))
        assert [one.digest for one in listed] == [Digest.of(note)]
        bare = pair.target.reference("bare/app:v1")
        await pair.copier().copy(source.with_tag("v1"), bare, referrers=False)
        assert await pair.writer.referrers(replace(bare, tag="", digest=digest)) == ()


async def test_an_artifact_tag_of_the_target_is_never_moved(tmp_path: Path) -> None:
    async with two_registries(tmp_path) as pair:
        target = pair.target.reference("copy/app:sha-0123456")
        await push_image(pair.writer, target, labels={"who": "someone else"})
        source = pair.source.reference("lab/app:sha-0123456")
        await push_image(pair.reader, source)
        with pytest.raises(TagTakenError):
            await pair.copier().copy(source, target)


async def test_a_blob_that_the_source_lost_ends_the_copy_before_anything_is_published(tmp_path: Path) -> None:
    async with two_registries(tmp_path) as pair:
        source, target = pair.source.reference("lab/app:v1"), pair.target.reference("copy/app:v1")
        await push_image(pair.reader, source, layers=(b"lost",))
        for path in (tmp_path / "source" / "blobs").rglob("*"):
            if path.is_file() and path.read_bytes() == b"lost":
                path.unlink()
        with pytest.raises(PullError):
            await pair.copier().copy(source, target)
        with pytest.raises(PullError) as caught:
            await pair.writer.resolve(target)
        assert caught.value.cause is PullCause.NOT_FOUND


async def test_damaged_bytes_are_never_copied(tmp_path: Path) -> None:
    async with two_registries(tmp_path) as pair:
        source, target = pair.source.reference("lab/app:v1"), pair.target.reference("copy/app:v1")
        content = os.urandom(400_000)
        await push_image(pair.reader, source, layers=(content,))
        digest = Digest.of(content)
        async with serve_liar(pair.source, str(digest), content[:-1] + bytes([content[-1] ^ 1])) as host:
            liar = RegistryClient(keyring=Keyring.of({host: Credential("admin", password("admin"))}))
            with pytest.raises(CorruptContentError):
                await Copier(liar, pair.writer).copy(Reference.parse(f"{host}/lab/app:v1"), target)
            await liar.close()
        assert await pair.writer.find_blob(target, digest) is None


async def test_an_index_over_several_repositories_fits_a_registry_that_wants_its_entries_beside_it(
    tmp_path: Path,
) -> None:
    async with two_registries(tmp_path) as pair:
        images = {}
        for name in ("one", "two"):
            reference = pair.source.reference(f"lab/{name}:v1")
            images[name] = await push_image(pair.reader, reference, labels={"name": name})
        entries = [replace(image, annotations={SERVICE: name}) for name, image in images.items()]
        raw = format_manifest(Index(tuple(entries)))
        await pair.reader.push_manifest(pair.source.reference("lab/sets:v1"), raw, media.OCI_INDEX)
        async with serve_strict(pair.target, [image.digest for image in images.values()]) as host:
            strict = RegistryClient(keyring=Keyring.of({host: Credential("admin", password("admin"))}))
            copier = Copier(pair.reader, strict)
            homes = {}
            for name, image in images.items():
                home = Reference.parse(f"{host}/copy/{name}")
                await copier.copy(pair.source.reference(f"lab/{name}:v1"), home)
                homes[image.digest] = home
            target = Reference.parse(f"{host}/copy/sets:v1")
            await copier.copy_index(pair.source.reference("lab/sets:v1"), target, homes)
            assert (await strict.resolve(target)).digest == Digest.of(raw)
            entry = await strict.resolve(target.with_digest(images["one"].digest))
            assert entry.digest == images["one"].digest
            await strict.close()


@asynccontextmanager
async def serve_app(app: ASGIApp) -> AsyncIterator[str]:
    listener = Listener(app, grace_seconds=0.5)
    await listener.start()
    try:
        yield listener.address
    finally:
        await listener.close()


@asynccontextmanager
async def serve_liar(server: RegistryServer, digest: str, content: bytes) -> AsyncIterator[str]:
    """The registry of `server`, but for one blob whose bytes are not what its digest says."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith(f"/blobs/{digest}"):
            await Response(content)(scope, receive, send)
        else:
            await server.app(scope, receive, send)

    async with serve_app(answer) as host:
        yield host


@asynccontextmanager
async def serve_strict(server: RegistryServer, digests: Iterable[Digest]) -> AsyncIterator[str]:
    """The registry of `server`, but it wants the entries of an index in the index's own repository."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("PUT", "/v2/copy/sets/manifests/v1"):
            try:
                for digest in digests:
                    server.registry.manifests.get("copy/sets", str(digest))
            except RegistryError:
                body = format_errors(ErrorEntry(ErrorCode.MANIFEST_BLOB_UNKNOWN, "an entry is not here"))
                await Response(body, 404)(scope, receive, send)
                return
        await server.app(scope, receive, send)

    async with serve_app(answer) as host:
        yield host
