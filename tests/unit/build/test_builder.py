"""The builder from directory to registry: what is recognised, what is sent, and what each failure says."""

import asyncio
import io
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.elf import elf
from fakes.memory_registry import MemoryRegistry
from fakes.wheels import write_lock, write_wheel
from towpath.blueprint.model import Service
from towpath.build.builder import Builder
from towpath.build.context import ContextError
from towpath.build.entries import BuildError
from towpath.build.host_base import host_platform
from towpath.build.host_files import Interpreter
from towpath.build.image import BuildRequest, BuiltImage
from towpath.build.layout import write_layout
from towpath.build.remote_base import BaseUnavailableError
from towpath.errors import IntegrityError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import History, ImageConfig, format_image_config, parse_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.errors import Failure, PullCause, PullError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = Reference.parse("127.0.0.1:7070/home/sensor")
SENSOR = Service("sensor", "services/sensor")
# A minute ahead: every file was left alone long enough for its metadata to be trusted.
LATER = time.time() + 60


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    """The running interpreter with a standard library of one file: enough for everything but running it."""
    stdlib = tmp_path / "stdlib"
    stdlib.mkdir()
    (stdlib / "os.py").write_text("name = 'posix'\n")
    return replace(Interpreter.running(), stdlib=stdlib)


@pytest.fixture
def builder(tmp_path: Path, registry: MemoryRegistry, interpreter: Interpreter) -> Builder:
    return Builder(cache=tmp_path / "cache", registry=registry, clock=VirtualClock(LATER), interpreter=interpreter)


@pytest.fixture
def service(tmp_path: Path) -> Path:
    directory = tmp_path / "sensor"
    directory.mkdir()
    (directory / "main.py").write_text("print('hello')\n")
    return directory


def request(context: Path, service: Service = SENSOR, *, tree_id: str = "") -> BuildRequest:
    return BuildRequest(
        service=service,
        context=context,
        commit=COMMIT,
        tree_id=tree_id,
        source_url="",
        committed_at=1_700_000_000.0,
        tag="sha-0123456",
        platform=host_platform(),
    )


async def push_base(
    registry: MemoryRegistry,
    *,
    platform: Platform | None = None,
    diff_ids: tuple[Digest, ...] = (Digest.of(b"diff"),),
    layer: bytes = b"a layer of somebody else",
    name: str = "r.example/base:1",
) -> Reference:
    """A foreign base of Docker's media types; returns it by digest."""
    reference = Reference.parse(name)
    config = format_image_config(
        ImageConfig(
            platform or host_platform(),
            env={"PATH": "/opt/bin"},
            diff_ids=diff_ids,
            history=(History("2020-01-01T00:00:00Z", "ADD rootfs"),),
        )
    )
    for content in (layer, config):
        registry.blobs[reference.name, Digest.of(content)] = content
    raw = format_manifest(
        Manifest(
            Descriptor(media.DOCKER_CONFIG, Digest.of(config), len(config)),
            (Descriptor(media.DOCKER_LAYER_GZIP, Digest.of(layer), len(layer)),),
            media_type=media.DOCKER_MANIFEST,
        )
    )
    return reference.with_digest(await registry.push_manifest(reference, raw, media.DOCKER_MANIFEST))


def own_layer(image: BuiltImage) -> Digest:
    return image.layers[-1].descriptor.digest


async def test_an_image_is_built_and_every_part_arrives(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    image = await builder.build(request(service))

    assert await builder.push(image, REPOSITORY)
    pulled = await registry.image(REPOSITORY.with_digest(image.digest), host_platform())
    assert pulled.config.entrypoint == ("python3", "/app/main.py")
    assert [layer.digest for layer in pulled.manifest.layers] == [layer.descriptor.digest for layer in image.layers]


async def test_a_directory_nobody_touched_is_not_read_again(builder: Builder, service: Path) -> None:
    first = await builder.build(request(service))
    again = await builder.build(request(service))

    assert (first.cached, again.cached) == (False, True)
    assert again.manifest_raw == first.manifest_raw


async def test_a_changed_file_gives_a_new_layer(builder: Builder, service: Path) -> None:
    first = await builder.build(request(service))
    (service / "main.py").write_text("print('HELLO')\n")
    second = await builder.build(request(service))

    assert not second.cached
    assert own_layer(second) != own_layer(first)


async def test_equal_content_elsewhere_is_recognised_by_its_content(
    builder: Builder, service: Path, tmp_path: Path
) -> None:
    first = await builder.build(request(service))
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "main.py").write_text("print('hello')\n")
    second = await builder.build(request(copy))

    assert second.cached
    assert second.digest == first.digest


async def test_an_export_is_recognised_by_its_tree(builder: Builder, service: Path, tmp_path: Path) -> None:
    first = await builder.build(request(service, tree_id="a" * 40))
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "main.py").write_text("print('hello')\n")
    second = await builder.build(request(copy, tree_id="a" * 40))
    third = await builder.build(request(service, tree_id="b" * 40))

    assert (first.cached, second.cached, third.cached) == (False, True, True), "the third was written, and was there"
    assert own_layer(third) == own_layer(first)


async def test_a_write_too_fresh_to_be_seen_in_the_metadata_is_not_missed(
    tmp_path: Path, registry: MemoryRegistry, interpreter: Interpreter, service: Path
) -> None:
    now = (service / "main.py").stat().st_ctime
    builder = Builder(cache=tmp_path / "c", registry=registry, clock=VirtualClock(now), interpreter=interpreter)
    await builder.build(request(service))
    records = list((tmp_path / "c" / "records").iterdir())
    await builder.build(request(service))

    # The base is recorded; the metadata key of a fresh directory is not.
    assert len(records) == 1
    assert len(list((tmp_path / "c" / "records").iterdir())) == 1


async def test_pushing_what_is_there_costs_one_request(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    image = await builder.build(request(service))
    await builder.push(image, REPOSITORY)
    registry.requests = 0

    assert not await builder.push(image, REPOSITORY)
    assert registry.requests == 1


async def test_a_repository_that_nobody_may_ask_about_before_it_exists_is_pushed_to(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    def deny(operation: str) -> None:
        if operation.startswith("resolve"):
            raise PullError(REPOSITORY, Failure(PullCause.ACCESS_DENIED, "denied", 401))

    registry.before = deny
    assert await builder.push(await builder.build(request(service)), REPOSITORY)


async def test_a_new_version_sends_its_own_layer_only(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    await builder.push(await builder.build(request(service)), REPOSITORY)
    (service / "main.py").write_text("print('version two')\n")
    registry.log.clear()
    await builder.push(await builder.build(request(service)), REPOSITORY)

    assert registry.log == ["blob home/sensor", "blob home/sensor", "manifest home/sensor:digest"]


async def test_a_second_service_mounts_the_base_of_the_first(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    await builder.push(await builder.build(request(service)), REPOSITORY)
    registry.log.clear()
    (service / "main.py").write_text("print('another service')\n")
    other = await builder.build(request(service, replace(SENSOR, name="other")))
    await builder.push(other, Reference.parse("127.0.0.1:7070/home/other"))

    assert "mount home/other" in registry.log


async def test_a_reference_with_a_tag_is_tagged(builder: Builder, service: Path, registry: MemoryRegistry) -> None:
    image = await builder.build(request(service))
    await builder.push(image, REPOSITORY.with_tag("dev"))

    assert (await registry.resolve(REPOSITORY.with_tag("dev"))).digest == image.digest


async def test_a_damaged_layer_is_never_pushed_and_is_built_again(builder: Builder, service: Path) -> None:
    image = await builder.build(request(service))
    path = image.layers[-1].path
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(IntegrityError, match="DigestMismatch"):
        await builder.push(image, REPOSITORY)

    again = await builder.build(request(service))
    assert await builder.push(again, REPOSITORY)
    assert again.digest == image.digest


async def test_a_layer_pruned_before_the_push_is_an_error_not_half_an_image(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    image = await builder.build(request(service))
    image.layers[-1].path.unlink()

    with pytest.raises(IntegrityError, match="CacheMissing"):
        await builder.push(image, REPOSITORY)
    assert registry.manifests == {}


async def test_two_builders_share_a_cache_and_agree(
    tmp_path: Path, registry: MemoryRegistry, interpreter: Interpreter, service: Path
) -> None:
    for index in range(200):
        (service / f"module{index}.py").write_text(f"X = {index}\n")
    builders = [
        Builder(cache=tmp_path / "c", registry=registry, clock=VirtualClock(LATER), interpreter=interpreter)
        for _ in range(4)
    ]
    images = await asyncio.gather(*(builder.build(request(service)) for builder in builders))

    assert len({image.digest for image in images}) == 1
    assert not [path for path in (tmp_path / "c").rglob(".*") if path.is_file()]


async def test_a_foreign_base_keeps_its_layers_and_history(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    base = await push_base(registry)
    image = await builder.build(request(service, replace(SENSOR, base=str(base))))
    config = parse_image_config(image.config_raw)

    assert image.layers[0].descriptor.digest == Digest.of(b"a layer of somebody else")
    assert image.layers[0].descriptor.media_type == media.OCI_LAYER_GZIP
    assert config.history[0] == History("2020-01-01T00:00:00Z", "ADD rootfs")
    assert config.env["PATH"] == "/opt/bin"
    assert config.labels["org.opencontainers.image.base.digest"] == str(base.digest)


async def test_a_base_pinned_by_digest_needs_no_registry_the_second_time(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    pinned = request(service, replace(SENSOR, base=str(await push_base(registry))))
    first = await builder.build(pinned)
    registry.requests = 0

    assert (await builder.build(pinned)).digest == first.digest
    assert registry.requests == 0


def tar_of(*names: str) -> bytes:
    """A gzip layer of empty files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
async def test_packages_for_a_foreign_base_fit_its_python_and_platform_and_carry_no_byte_code(
    builder: Builder, service: Path, registry: MemoryRegistry, architecture: str
) -> None:
    write_lock(service, {"greet==1.0": [write_wheel(service / "wheels", "greet", scripts={"greet": "greet:main"})]})
    layer = tar_of("usr/local/bin/python3.13", "lib64/ld-linux-x86-64.so.2")
    platform = Platform("linux", architecture)
    base = await push_base(registry, platform=platform, layer=layer)
    foreign = replace(SENSOR, base=str(base), entrypoint=("greet", "--loud"))
    image = await builder.build(replace(request(service, foreign), platform=platform))
    config = parse_image_config(image.config_raw)

    assert config.entrypoint == ("python3", "/opt/dependencies/bin/greet", "--loud")
    assert config.env["PYTHONPATH"] == "/app:/opt/dependencies"
    assert config.env["PATH"] == "/opt/dependencies/bin:/opt/bin"
    assert [line.created_by for line in config.history] == ["ADD rootfs", "towpath packages", "towpath build sensor"]
    with tarfile.open(image.layers[1].path) as archive:
        names = archive.getnames()
        script = archive.extractfile("opt/dependencies/bin/greet")
        assert script is not None
        assert script.readline() == b"#!/usr/local/bin/python3.13\n"
    assert not any(name.endswith(".pyc") for name in names)
    with tarfile.open(image.layers[2].path) as archive:
        assert not any(name.endswith(".whl") for name in archive.getnames())


async def test_a_changed_source_leaves_the_layer_of_packages_alone(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    write_lock(service, {"greet==1.0": [write_wheel(service / "wheels", "greet")]})
    base = await push_base(registry, layer=tar_of("usr/bin/python3.11", "lib64/ld-linux-x86-64.so.2"))
    first = await builder.build(request(service, replace(SENSOR, base=str(base))))
    (service / "main.py").write_text("print('changed')\n")
    second = await builder.build(request(service, replace(SENSOR, base=str(base))))

    assert first.layers[:2] == second.layers[:2]
    assert own_layer(first) != own_layer(second)
    assert first.lock.startswith("requirements.lock sha256:")


async def test_a_layer_of_a_base_in_the_same_registry_is_mounted_from_there(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    base = await push_base(registry, name=f"{REPOSITORY.registry}/bases/python:3")
    await builder.push(await builder.build(request(service, replace(SENSOR, base=str(base)))), REPOSITORY)

    assert registry.log.count("mount home/sensor") == 1
    assert registry.log.count("blob home/sensor") == 2, "its own layer and the configuration"


async def test_a_lock_is_judged_before_a_base_is_pulled(builder: Builder, service: Path) -> None:
    (service / "requirements.txt").write_text("flask\n")

    with pytest.raises(BuildError, match="Unlocked"):
        await builder.build(request(service, replace(SENSOR, base="r.example/none:1")))


async def test_a_static_site_gets_its_server_in_a_layer_that_all_sites_share(builder: Builder, service: Path) -> None:
    (service / "public").mkdir()
    (service / "public" / "index.html").write_text("<h1>one</h1>")
    one = await builder.build(request(service, replace(SENSOR, static="public", port=9000)))
    (service / "public" / "index.html").write_text("<h1>other</h1>")
    other = await builder.build(request(service, replace(SENSOR, static="public")))

    assert one.layers[:2] == other.layers[:2]
    assert parse_image_config(one.config_raw).entrypoint[2:] == ("/app", "9000")
    with tarfile.open(one.layers[2].path) as archive:
        assert [name for name in archive.getnames() if "." in name] == ["app/index.html"]


async def test_a_static_site_on_a_foreign_base_stands_where_that_bases_server_looks(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    base = await push_base(registry)
    site = replace(SENSOR, static=".", into="/usr/share/nginx/html", base=str(base))
    image = await builder.build(request(service, site))

    assert parse_image_config(image.config_raw).entrypoint == ()
    with tarfile.open(image.layers[-1].path) as archive:
        assert "usr/share/nginx/html/main.py" in archive.getnames()


async def test_a_program_is_the_whole_image_and_only_that_of_its_platform(builder: Builder, service: Path) -> None:
    for architecture, machine in (("amd64", 62), ("arm64", 183)):
        (service / f"tool-{architecture}").write_bytes(elf(machine))
    tool = replace(SENSOR, base="scratch", binary="tool-{arch}")
    image = await builder.build(replace(request(service, tool), platform=Platform("linux", "arm64")))
    config = parse_image_config(image.config_raw)

    assert (config.entrypoint, str(config.platform)) == (("/app/tool-arm64",), "linux/arm64")
    with tarfile.open(image.layers[0].path) as archive:
        assert archive.getnames() == ["app", "app/main.py", "app/tool-arm64"]


async def test_nothing_to_serve_is_an_error(builder: Builder, service: Path) -> None:
    with pytest.raises(BuildError, match="StaticEmpty"):
        await builder.build(request(service, replace(SENSOR, static="public")))


async def test_without_an_engine_a_dockerfile_is_refused(builder: Builder, service: Path) -> None:
    (service / "main.py").rename(service / "Dockerfile")

    with pytest.raises(BuildError, match="EngineMissing"):
        await builder.build(request(service))


async def test_a_base_by_tag_is_resolved_at_every_build(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    base = await push_base(registry)
    tagged = request(service, replace(SENSOR, base="r.example/base:1"))
    image = await builder.build(tagged)
    registry.requests = 0
    await builder.build(tagged)

    assert registry.requests > 0
    assert parse_image_config(image.config_raw).labels["org.opencontainers.image.base.digest"] == str(base.digest)


async def test_an_unreachable_base_names_the_base_and_the_next_step(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    def refuse(_operation: str) -> None:
        raise PullError(Reference.parse("r.example/base:1"), Failure(PullCause.UNREACHABLE, "connection refused"))

    registry.before = refuse
    with pytest.raises(
        BaseUnavailableError, match=r"base r\.example/base:1 cannot be pulled \(BaseUnavailable\)"
    ) as caught:
        await builder.build(request(service, replace(SENSOR, base="r.example/base:1")))

    assert "connection refused" in str(caught.value)


async def test_a_base_of_another_platform_is_refused(builder: Builder, service: Path, registry: MemoryRegistry) -> None:
    base = await push_base(registry, platform=Platform("linux", "s390x"))

    with pytest.raises(BaseUnavailableError, match="s390x"):
        await builder.build(request(service, replace(SENSOR, base=str(base))))


async def test_a_base_that_is_no_reference_is_the_users_to_mend(builder: Builder, service: Path) -> None:
    with pytest.raises(BuildError, match="BaseInvalid"):
        await builder.build(request(service, replace(SENSOR, base="Not A Reference")))


async def test_packages_that_are_not_locked_are_refused_with_the_command_that_locks_them(
    builder: Builder, service: Path
) -> None:
    (service / "requirements.txt").write_text("# comment\nflask==3.0\n")

    with pytest.raises(BuildError, match="Unlocked") as caught:
        await builder.build(request(service))
    assert "uv pip compile --universal --generate-hashes requirements.txt" in caught.value.hint


async def test_packages_that_the_base_brings_are_left_to_it(builder: Builder, service: Path) -> None:
    (service / "requirements.txt").write_text("flask==3.0\n")
    image = await builder.build(request(service, replace(SENSOR, requirements=None)))

    assert (len(image.layers), image.packages) == (2, ())


async def test_requirements_without_a_requirement_change_nothing(builder: Builder, service: Path) -> None:
    (service / "requirements.txt").write_text("\n# nothing yet\n")

    assert len((await builder.build(request(service))).layers) == 2


async def test_a_directory_that_vanished_is_named_as_the_blueprint_names_it(builder: Builder, tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="directory services/sensor cannot be read"):
        await builder.build(request(tmp_path / "gone"))


@pytest.mark.skipif(sys.platform != "linux", reason="the base host is for Linux")
async def test_the_base_can_be_made_ahead_of_the_first_build(builder: Builder, tmp_path: Path) -> None:
    await builder.prepare(host_platform())

    assert len(list((tmp_path / "cache" / "blobs").iterdir())) == 1


async def test_a_layout_holds_the_image_under_its_name(builder: Builder, service: Path, tmp_path: Path) -> None:
    image = await builder.build(request(service))
    (descriptor,) = write_layout({"sensor:1": image}, tmp_path / "layout")
    blobs = {path.name for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir()}

    assert descriptor.annotations == {"org.opencontainers.image.ref.name": "sensor:1"}
    assert blobs == {image.digest.hex, image.config_descriptor.digest.hex} | {
        layer.descriptor.digest.hex for layer in image.layers
    }
    assert (tmp_path / "layout" / "index.json").is_file()


async def test_a_base_whose_configuration_and_manifest_disagree_is_refused(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    base = await push_base(registry, diff_ids=())

    with pytest.raises(BaseUnavailableError, match="LayerMismatch"):
        await builder.build(request(service, replace(SENSOR, base=str(base))))


async def test_a_base_with_a_missing_layer_leaves_nothing_half_pulled(
    builder: Builder, service: Path, registry: MemoryRegistry, tmp_path: Path
) -> None:
    base = await push_base(registry)
    del registry.blobs[base.name, Digest.of(b"a layer of somebody else")]

    with pytest.raises(BaseUnavailableError, match="no such blob"):
        await builder.build(request(service, replace(SENSOR, base=str(base))))
    assert list((tmp_path / "cache" / "blobs").iterdir()) == []


async def test_a_damaged_record_of_a_base_is_pulled_again(
    builder: Builder, service: Path, registry: MemoryRegistry, tmp_path: Path
) -> None:
    pinned = request(service, replace(SENSOR, base=str(await push_base(registry))))
    first = await builder.build(pinned)
    for record in (tmp_path / "cache" / "records").iterdir():
        record.write_text('{"layers": [], "config": "{}"}')

    assert (await builder.build(pinned)).digest == first.digest


async def test_a_registry_that_changes_the_manifest_is_caught(
    builder: Builder, service: Path, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rewrite(_reference: Reference, raw: bytes, _media_type: str) -> Digest:
        return Digest.of(raw + b" ")

    monkeypatch.setattr(registry, "push_manifest", rewrite)
    with pytest.raises(IntegrityError, match="changed by the registry"):
        await builder.push(await builder.build(request(service)), REPOSITORY)


async def test_a_registry_that_fails_is_not_taken_for_one_without_the_image(
    builder: Builder, service: Path, registry: MemoryRegistry
) -> None:
    image = await builder.build(request(service))

    def refuse(_operation: str) -> None:
        raise PullError(REPOSITORY, Failure(PullCause.ACCESS_DENIED, "401 Unauthorized", 401))

    registry.before = refuse
    with pytest.raises(PullError, match="AccessDenied"):
        await builder.push(image, REPOSITORY)
    assert registry.log == []
