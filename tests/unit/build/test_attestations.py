"""What is attached to a built image, with a key and without, and what happens when the registry will not have it."""

import gzip
import io
import json
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from fakes.clock import VirtualClock
from fakes.memory_registry import MemoryRegistry
from towpath.attest.dsse import IN_TOTO
from towpath.attest.errors import KeyFileError
from towpath.attest.findings import Verdict, conclude
from towpath.attest.keys import KeyKind, PrivateKey, generate_key
from towpath.attest.verification import Expectation, verify
from towpath.blueprint.model import Service
from towpath.build.attestations import Attestor, read_contents
from towpath.build.builder import Builder
from towpath.build.cache import LayerCache
from towpath.build.host_base import host_platform
from towpath.build.host_files import Interpreter
from towpath.build.image import BuildRequest, BuiltImage
from towpath.errors import RemoteError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.reference import Reference
from towpath.ociclient.errors import Failure, PullCause, PushError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = Reference.parse("127.0.0.1:7070/home/sensor")
SOURCE = "https://git.example/home.git"
KEY = generate_key(KeyKind.P256)


class Workshop:
    """A builder and an attestor over one cache and one registry."""

    def __init__(self, root: Path, interpreter: Interpreter) -> None:
        self.root = root
        self.registry = MemoryRegistry()
        clock = VirtualClock(time.time() + 60)
        self.builder = Builder(cache=root / "cache", registry=self.registry, clock=clock, interpreter=interpreter)
        self.cache = LayerCache(root / "cache")

    def request(self, base: str = "host") -> BuildRequest:
        directory = self.root / "sensor"
        directory.mkdir(exist_ok=True)
        (directory / "main.py").write_text("print('hello')\n")
        package = directory / "lib" / "flask-3.0.1.dist-info"
        package.mkdir(parents=True, exist_ok=True)
        (package / "METADATA").write_text("Name: Flask\nVersion: 3.0.1\n")
        service = Service("sensor", "services/sensor", base=base)
        return BuildRequest(service, directory, COMMIT, "aaaa", SOURCE, 1_700_000_000.0, "sha-0123456", host_platform())

    async def build(self, request: BuildRequest) -> BuiltImage:
        image = await self.builder.build(request)
        await self.builder.push(image, REPOSITORY)
        return image

    def attestor(self, key: PrivateKey | None = None) -> Attestor:
        return Attestor(cache=self.cache, registry=self.registry, find_signer=lambda: key)

    async def attached(self, image: BuiltImage) -> dict[str, list[bytes]]:
        """The contents by artifact type."""
        found: dict[str, list[bytes]] = {}
        for listed in await self.registry.referrers(REPOSITORY.with_digest(image.digest)):
            raw = await self.registry.manifest(REPOSITORY.with_digest(listed.digest))
            (layer,) = json.loads(raw.content)["layers"]
            content = self.registry.blobs[REPOSITORY.name, Digest.parse(layer["digest"])]
            found.setdefault(listed.artifact_type, []).append(content)
        return found


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    stdlib = tmp_path / "stdlib"
    stdlib.mkdir()
    (stdlib / "os.py").write_text("name = 'posix'\n")
    return Workshop(tmp_path, replace(Interpreter.running(), stdlib=stdlib))


async def test_without_a_key_a_statement_and_an_sbom_are_attached(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    assert await workshop.attestor().attach(request, image, REPOSITORY) == ()
    found = await workshop.attached(image)
    assert {kind: len(contents) for kind, contents in found.items()} == {
        IN_TOTO: 1,
        "application/vnd.cyclonedx+json": 1,
    }
    statement = json.loads(found[IN_TOTO][0])
    assert statement["subject"] == [{"name": REPOSITORY.name, "digest": {"sha256": image.digest.hex}}]
    materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert [material["name"] for material in materials] == ["source", "base"]


async def test_with_a_key_an_owner_stands_for_both(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    await workshop.attestor(KEY).attach(request, image, REPOSITORY)
    found = await workshop.attached(image)
    assert {kind: len(contents) for kind, contents in found.items()} == {
        "application/vnd.dev.sigstore.bundle.v0.3+json": 2,
        "application/vnd.cyclonedx+json": 1,
    }
    pinned = REPOSITORY.with_digest(image.digest)
    expected = Expectation((KEY.public,), source=SOURCE, commit=COMMIT)
    verified = await verify(workshop.registry, pinned, host_platform(), expected)
    assert conclude(verified.findings) is Verdict.PASSED


async def test_attesting_twice_sends_nothing_the_second_time(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    await workshop.attestor(KEY).attach(request, image, REPOSITORY)
    sent, asked = list(workshop.registry.log), workshop.registry.requests
    await workshop.attestor(KEY).attach(request, image, REPOSITORY)
    assert (workshop.registry.log, workshop.registry.requests) == (sent, asked + 1)


async def test_a_key_that_comes_later_signs_what_is_there(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    await workshop.attestor().attach(request, image, REPOSITORY)
    await workshop.attestor(KEY).attach(request, image, REPOSITORY)
    found = await workshop.attached(image)
    assert len(found["application/vnd.dev.sigstore.bundle.v0.3+json"]) == 2
    assert len(found["application/vnd.cyclonedx+json"]) == 1


async def test_whether_a_key_has_signed_is_one_question_and_without_a_key_none(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    pinned = REPOSITORY.with_digest(image.digest)
    asked = workshop.registry.requests
    assert await workshop.attestor().is_signed(pinned), "there is nothing left to sign"
    assert workshop.registry.requests == asked
    assert not await workshop.attestor(KEY).is_signed(pinned)
    await workshop.attestor(generate_key(KeyKind.P256)).attach(request, image, REPOSITORY)
    assert not await workshop.attestor(KEY).is_signed(pinned), "another key's word is not this one's"
    await workshop.attestor(KEY).attach(request, image, REPOSITORY)
    asked = workshop.registry.requests
    assert await workshop.attestor(KEY).is_signed(pinned)
    assert workshop.registry.requests == asked + 1


async def test_the_sbom_names_the_interpreter_its_libraries_and_the_packages(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    await workshop.attestor().attach(request, image, REPOSITORY)
    raw = (await workshop.attached(image))["application/vnd.cyclonedx+json"][0]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw.decode()) is None
    components = {one["name"]: one for one in json.loads(raw)["components"]}
    assert components["python"]["type"] == "platform"
    assert components["Flask"]["purl"] == "pkg:pypi/flask@3.0.1"
    assert any(name.startswith(("libc.", "ld-", "libm.")) for name in components)


def layer_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


async def push_base(registry: MemoryRegistry, layer: bytes) -> Reference:
    reference = Reference.parse("r.example/debian:12")
    config = format_image_config(ImageConfig(host_platform(), diff_ids=(Digest.of(gzip.decompress(layer)),)))
    for content in (layer, config):
        registry.blobs[reference.name, Digest.of(content)] = content
    raw = format_manifest(
        Manifest(
            Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)),
            (Descriptor(media.OCI_LAYER_GZIP, Digest.of(layer), len(layer)),),
        )
    )
    return reference.with_digest(await registry.push_manifest(reference, raw, media.OCI_MANIFEST))


async def test_a_foreign_base_is_a_material_and_its_packages_are_components(workshop: Workshop) -> None:
    files = {
        "etc/os-release": b"ID=debian\nVERSION_ID=12\n",
        "var/lib/dpkg/status": b"Package: libc6\nStatus: install ok installed\nVersion: 2.36\nArchitecture: amd64\n",
    }
    base = await push_base(workshop.registry, layer_of(files))
    request = workshop.request(str(base))
    image = await workshop.build(request)
    await workshop.attestor().attach(request, image, REPOSITORY)
    found = await workshop.attached(image)
    material = json.loads(found[IN_TOTO][0])["predicate"]["buildDefinition"]["resolvedDependencies"][1]
    assert base.digest is not None
    assert material["digest"] == {"sha256": base.digest.hex}
    components = json.loads(found["application/vnd.cyclonedx+json"][0])["components"]
    purls = {component.get("purl") for component in components}
    assert "pkg:deb/debian/libc6@2.36?arch=amd64&distro=debian-12" in purls
    assert any(str(purl).startswith("pkg:oci/debian@") for purl in purls)
    assert "python" not in {component["name"] for component in components}


async def test_a_layer_that_cannot_be_read_makes_the_sbom_incomplete(workshop: Workshop) -> None:
    image = await workshop.build(workshop.request())
    descriptor = replace(image.layers[-1].descriptor, media_type=media.OCI_LAYER_ZSTD, digest=Digest.of(b"zstd"))
    changed = replace(image, layers=(*image.layers[:-1], replace(image.layers[-1], descriptor=descriptor)))
    assert read_contents(workshop.cache, image).complete
    assert not read_contents(workshop.cache, changed).complete


def refusing(cause: PullCause) -> Callable[[str], None]:
    def refuse(operation: str) -> None:
        if operation.startswith("push_manifest"):
            raise PushError(REPOSITORY, Failure(cause, "refused", 400))

    return refuse


async def test_a_registry_that_takes_no_artifacts_is_a_warning(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    workshop.registry.before = refusing(PullCause.INVALID_CONTENT)
    (warning,) = await workshop.attestor().attach(request, image, REPOSITORY)
    assert "takes no attestations" in warning


async def test_a_registry_that_fails_is_an_error_to_be_repeated(workshop: Workshop) -> None:
    request = workshop.request()
    image = await workshop.build(request)
    workshop.registry.before = refusing(PullCause.SERVER_ERROR)
    with pytest.raises(RemoteError):
        await workshop.attestor().attach(request, image, REPOSITORY)


async def test_a_key_that_cannot_be_used_fails_the_build_and_attaches_nothing(workshop: Workshop) -> None:
    def find_signer() -> PrivateKey | None:
        raise KeyFileError("no password")

    request = workshop.request()
    image = await workshop.build(request)
    attestor = Attestor(cache=workshop.cache, registry=workshop.registry, find_signer=find_signer)
    with pytest.raises(KeyFileError):
        await attestor.attach(request, image, REPOSITORY)
    assert await workshop.attached(image) == {}
