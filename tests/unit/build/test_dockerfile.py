"""A service from its Dockerfile: what the engine is asked, what becomes of its image, and how secrets are kept."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from towpath.blueprint.model import Service
from towpath.build.cache import LayerCache
from towpath.build.dockerfile import DockerfileBuilder, find_secrets
from towpath.build.engines.engine import (
    Capabilities,
    DockerfileBuild,
    Engine,
    EngineFailedError,
    EngineMissingError,
    OnLine,
)
from towpath.build.entries import BuildError
from towpath.build.image import BuildRequest
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.image import parse_image_config
from towpath.oci.platform import Platform

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PLATFORM = Platform("linux", "amd64")
LAYER = gzip.compress(b"a layer", mtime=0)


class ScriptedEngine:
    """An engine that writes the same image each time, and remembers what it was asked."""

    name = "scripted"
    version = "1.2.3"
    capabilities = Capabilities(repro=True, oci_out=True, secrets=True, cache=True, platforms=True)

    def __init__(self) -> None:
        self.asked: list[DockerfileBuild] = []
        self.seen: list[set[str]] = []
        self.config: dict[str, Any] = {
            "Entrypoint": ["/start"],
            "Cmd": ["--now"],
            "User": "1000",
            "Env": ["PATH=/bin", "KEPT=yes"],
            "Labels": {"who": "me", "io.buildah.version": "1.28.2"},
            "ExposedPorts": {"3000/tcp": {}},
        }
        self.failure: Exception | None = None

    async def build(self, build: DockerfileBuild, layout: Path, on_line: OnLine) -> None:
        self.asked.append(build)
        self.seen.append({str(path.relative_to(build.context)) for path in build.context.rglob("*") if path.is_file()})
        on_line("STEP 1/1: FROM scratch")
        if self.failure:
            raise self.failure
        blobs = layout / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def put(content: bytes, kind: str) -> dict[str, Any]:
            digest = Digest.of(content)
            (blobs / digest.hex).write_bytes(content)
            return {"mediaType": kind, "digest": str(digest), "size": len(content)}

        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(gzip.decompress(LAYER)))]},
            "history": [{"created_by": "RUN something"}],
        }
        manifest = {
            "schemaVersion": 2,
            "config": put(json.dumps(config).encode(), media.OCI_CONFIG),
            "layers": [put(LAYER, media.OCI_LAYER_GZIP)],
        }
        entry = put(json.dumps(manifest).encode(), media.OCI_MANIFEST)
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


class OneEngine:
    """Satisfies `EngineChoice`."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine
        self.names: list[str] = []

    async def choose(self, name: str, build: DockerfileBuild) -> Engine:
        del build
        self.names.append(name)
        if name == "missing":
            raise EngineMissingError("missing is not installed")
        return self.engine


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def choice(engine: ScriptedEngine) -> OneEngine:
    return OneEngine(engine)


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    made = LayerCache(tmp_path / "cache")
    made.prepare()
    return made


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def builder(tmp_path: Path, cache: LayerCache, choice: OneEngine, lines: list[str]) -> DockerfileBuilder:
    return DockerfileBuilder(
        cache=cache, engines=choice, secrets=tmp_path / "secrets", lines_of=lambda _service: lines.append
    )


def request(tmp_path: Path, service: Service | None = None, *, only: frozenset[str] | None = None) -> BuildRequest:
    context = tmp_path / "web"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text("FROM scratch\n")
    (context / "ignored.env").write_text("PASSWORD=x\n")
    return BuildRequest(
        service=service or Service("web", "services/web"),
        context=context,
        commit=COMMIT,
        tree_id="aaaa",
        source_url="https://git.example/home.git",
        committed_at=1_700_000_000.5,
        tag="sha-0123456",
        platform=PLATFORM,
        only=only,
    )


async def test_the_image_is_tied_to_its_commit_and_otherwise_what_the_dockerfile_says(
    builder: DockerfileBuilder, tmp_path: Path
) -> None:
    image = await builder.build(request(tmp_path), "Dockerfile")
    config = parse_image_config(image.config_raw)
    assert (config.entrypoint, config.cmd, config.user) == (("/start",), ("--now",), "1000")
    assert config.exposed_ports == ("3000/tcp",)
    assert config.env == {
        "PATH": "/bin",
        "KEPT": "yes",
        "TOWPATH_VERSION": "sha-0123456",
        "TOWPATH_COMMIT": COMMIT,
    }
    assert config.labels["org.opencontainers.image.revision"] == COMMIT
    assert config.labels["who"] == "me"
    assert "io.buildah.version" not in config.labels
    assert config.created == "2023-11-14T22:13:20Z"
    assert image.engine == "scripted 1.2.3"
    assert image.layers[0].path.read_bytes() == LAYER


async def test_the_blueprint_adds_variables_and_may_start_it_another_way(
    builder: DockerfileBuilder, engine: ScriptedEngine, tmp_path: Path
) -> None:
    del engine.config["ExposedPorts"]
    service = Service("web", "services/web", entrypoint=("/other",), env={"KEPT": "no"}, port=9000)
    config = parse_image_config((await builder.build(request(tmp_path, service), "Dockerfile")).config_raw)
    assert (config.entrypoint, config.cmd, config.env["KEPT"]) == (("/other",), (), "no")
    assert config.exposed_ports == ("9000/tcp",)


async def test_building_the_same_again_gives_the_same_image_and_writes_nothing(
    builder: DockerfileBuilder, tmp_path: Path
) -> None:
    first = await builder.build(request(tmp_path), "Dockerfile")
    second = await builder.build(request(tmp_path), "Dockerfile")
    assert (first.digest, first.cached, second.cached) == (second.digest, False, True)


async def test_the_engine_is_asked_what_the_blueprint_says(
    builder: DockerfileBuilder, engine: ScriptedEngine, choice: OneEngine, tmp_path: Path, lines: list[str]
) -> None:
    service = Service("web", "services/web", target="prod", build_args={"A": "1"}, engine="podman")
    web = request(tmp_path, service)
    (web.context / "deploy").mkdir()
    (web.context / "deploy" / "Dockerfile").write_text("FROM scratch\n")
    await builder.build(web, "deploy/Dockerfile")
    (asked,) = engine.asked
    assert (asked.dockerfile, asked.target, asked.arguments) == ("deploy/Dockerfile", "prod", {"A": "1"})
    assert (asked.epoch, asked.platform) == (1_700_000_000, PLATFORM)
    assert (choice.names, lines) == (["podman"], ["STEP 1/1: FROM scratch"])


async def test_the_command_line_wins_over_the_blueprint(cache: LayerCache, choice: OneEngine, tmp_path: Path) -> None:
    builder = DockerfileBuilder(cache=cache, engines=choice, secrets=tmp_path, engine="missing")
    with pytest.raises(EngineMissingError):
        await builder.build(request(tmp_path), "Dockerfile")
    assert choice.names == ["missing"]


async def test_files_that_do_not_count_are_not_in_the_context(
    builder: DockerfileBuilder, engine: ScriptedEngine, tmp_path: Path
) -> None:
    await builder.build(request(tmp_path, only=frozenset({"Dockerfile"})), "Dockerfile")
    await builder.build(request(tmp_path), "Dockerfile")
    assert engine.seen == [{"Dockerfile"}, {"Dockerfile", "ignored.env"}]


@pytest.mark.parametrize("dockerfile", ["linked", "nowhere", "../outside"])
async def test_a_dockerfile_is_a_file_of_the_service(
    builder: DockerfileBuilder, engine: ScriptedEngine, tmp_path: Path, dockerfile: str
) -> None:
    asked = request(tmp_path)
    (tmp_path / "outside").write_text("FROM scratch\n")
    (asked.context / "linked").symlink_to(tmp_path / "outside")
    with pytest.raises(BuildError, match="DockerfileMissing"):
        await builder.build(asked, dockerfile)
    assert engine.asked == []


async def test_a_failed_build_leaves_nothing_behind(
    builder: DockerfileBuilder, engine: ScriptedEngine, cache: LayerCache, tmp_path: Path
) -> None:
    engine.failure = EngineFailedError("a step failed")
    with pytest.raises(EngineFailedError):
        await builder.build(request(tmp_path, only=frozenset({"Dockerfile"})), "Dockerfile")
    left = [path for path in cache.blobs.parent.rglob("*") if path.is_file()]
    assert left == []


def test_secrets_are_files_of_their_owner(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "npm").write_text("token")
    (secrets / "npm").chmod(0o600)
    service = Service("web", "services/web", secrets=("npm",))
    assert find_secrets(secrets, service) == {"npm": (secrets / "npm").resolve()}


def test_a_secret_that_is_missing_is_named_with_where_to_put_it(tmp_path: Path) -> None:
    service = Service("web", "services/web", secrets=("npm",))
    with pytest.raises(BuildError) as caught:
        find_secrets(tmp_path / "secrets", service)
    assert "SecretMissing" in caught.value.message
    assert str(tmp_path / "secrets" / "npm") in caught.value.hint


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "npm").write_text("token")
    (tmp_path / "npm").chmod(mode)
    with pytest.raises(BuildError, match="SecretOpen"):
        find_secrets(tmp_path, Service("web", "services/web", secrets=("npm",)))


def test_a_secret_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "npm").mkdir(mode=0o700)
    with pytest.raises(BuildError, match="SecretOpen"):
        find_secrets(tmp_path, Service("web", "services/web", secrets=("npm",)))
