"""Dockerfiles by real engines: buildah, podman, BuildKit and docker build one service, and all end in ordinary images.

Those with a daemon have throwaway ones, whose stores are their own.
"""

import asyncio
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.build_daemons import run_buildkitd, run_dockerd
from fakes.foreign import require, require_built
from fakes.lab import source_of
from fakes.platform import LivePlatform
from fakes.registry import serve_registry
from towpath.aio.clock import SystemClock
from towpath.blueprint.model import Service
from towpath.build.attestations import Attestor
from towpath.build.builder import Builder
from towpath.build.cache import LayerCache
from towpath.build.dockerfile import DockerfileBuilder
from towpath.build.engines.choice import Engines
from towpath.build.engines.engine import EngineFailedError
from towpath.build.host_base import host_platform
from towpath.build.image import BuildRequest
from towpath.build.inventory import read_layer
from towpath.build.pusher import Pusher
from towpath.oci.image import parse_image_config
from towpath.oci.manifest import Manifest, parse_manifest
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient

pytestmark = pytest.mark.judge

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATIENCE_SECONDS = 120.0
DOCKERFILE = """\
FROM scratch AS system
COPY system /
FROM system AS web
ARG WHO=nobody
ARG SOURCE_DATE_EPOCH
COPY index.html /srv/
RUN --mount=type=secret,id=token ["/bin/sh", "-c", "{step}"]
USER 1000
ENTRYPOINT ["/bin/sh", "-c", "cat /srv/index.html"]
FROM web AS never
COPY nothing-like-this /
"""
STEP = "[ -s /run/secrets/token ] && echo $WHO at $SOURCE_DATE_EPOCH > /srv/made"


class Lab:
    """A service with a Dockerfile, and builders of it, by number, with stores and daemons of their own."""

    def __init__(self, root: Path, environ: Callable[[int], dict[str, str]]) -> None:
        self.root = root
        self.environ = environ
        self.lines: list[str] = []
        self.context = root / "web"
        self.context.mkdir()
        copy_shell(self.context / "system")
        (self.context / "index.html").write_text("hello\n")
        self.write(STEP)
        (root / "secrets").mkdir()
        (root / "secrets" / "token").write_text("hush-hush")
        (root / "secrets" / "token").chmod(0o600)

    def write(self, step: str) -> None:
        (self.context / "Dockerfile").write_text(DOCKERFILE.format(step=step))

    def builder(self, number: int = 0) -> DockerfileBuilder:
        environ = self.environ(number)
        which = functools.partial(shutil.which, path=environ["PATH"])
        return DockerfileBuilder(
            cache=self.cache(number),
            engines=Engines(store=self.root / f"store{number}", environ=environ, host=host_platform(), which=which),
            secrets=self.root / "secrets",
            lines_of=lambda _service: self.lines.append,
        )

    def cache(self, number: int = 0) -> LayerCache:
        cache = LayerCache(self.root / f"cache{number}")
        cache.prepare()
        return cache

    def request(self, engine: str) -> BuildRequest:
        service = Service(
            "web",
            "services/web",
            dockerfile="Dockerfile",
            target="web",
            build_args={"WHO": "me"},
            secrets=("token",),
            engine=engine,
        )
        source = "https://git.example/home.git"
        return BuildRequest(
            service, self.context, COMMIT, "aaaa", source, 1_700_000_000.0, "sha-0123456", host_platform()
        )


def copy_shell(target: Path) -> None:
    """A shell and what it needs, so that steps can run without any base from the network."""
    shell = Path("/bin/sh").resolve()
    listed = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    for source, place in [(shell, "/bin/sh"), *((Path(name), name) for name in re.findall(r"/\S+", listed))]:
        copy = target / place.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.resolve(), copy)
        copy.chmod(0o755)


# Which engine judges, and of docker which of its ways: the daemon saves, or a builder exports.
KINDS = ("buildah", "podman", "buildkit", "docker", "docker with a builder")


def environ_of(kind: str, home: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """What an engine needs in its environment; its daemons run until the stack is closed."""
    environ = dict(os.environ)
    if kind == "buildkit":
        environ["PATH"] = f"{require_built('buildkit')}:{environ['PATH']}"
        environ["BUILDKIT_HOST"] = stack.enter_context(run_buildkitd(home))
    if kind.startswith("docker"):
        # Debian's client first: it goes with its daemon, another one may want a plug-in.
        environ["PATH"] = f"/usr/bin:{environ['PATH']}"
        environ["DOCKER_HOST"] = stack.enter_context(run_dockerd(home))
        environ["DOCKER_CONFIG"] = str(home / "config")
    if kind == "docker with a builder":
        plug_in = home / "config" / "cli-plugins" / "docker-buildx"
        plug_in.parent.mkdir(parents=True)
        plug_in.symlink_to(require_built("buildkit") / "buildx")
        (home / "builder").mkdir()
        address = stack.enter_context(run_buildkitd(home / "builder"))
        create = ["docker", "buildx", "create", "--use", "--driver=remote", address]
        subprocess.run(create, env=environ, check=True, capture_output=True)
    if kind in {"buildah", "podman"}:
        require(kind)
    return environ


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def engine(kind: str) -> str:
    """The name of the engine."""
    return kind.partition(" ")[0]


@pytest.fixture
def lab(kind: str) -> Iterator[Lab]:
    # podman takes at most 50 characters of a run root, fewer than pytest's own directories have.
    with tempfile.TemporaryDirectory(prefix="lab") as directory, contextlib.ExitStack() as stack:
        root = Path(directory)

        @functools.cache
        def environ(number: int) -> dict[str, str]:
            home = root / f"daemons{number}"
            home.mkdir()
            return environ_of(kind, home, stack)

        yield Lab(root, environ)


async def test_a_dockerfile_becomes_an_image_tied_to_its_commit(lab: Lab, engine: str) -> None:
    image = await lab.builder().build(lab.request(engine), "Dockerfile")
    config = parse_image_config(image.config_raw)
    assert (config.user, config.entrypoint[0]) == ("1000", "/bin/sh")
    assert config.labels["org.opencontainers.image.revision"] == COMMIT
    assert config.env["TOWPATH_VERSION"] == "sha-0123456"
    assert image.engine.startswith(f"{engine} ")
    assert any("index.html" in line for line in lab.lines)
    content = b"".join(layer.path.read_bytes() for layer in image.layers)
    assert b"hush-hush" not in content
    assert "hush-hush" not in "".join(lab.lines)
    assert all(read_layer(layer.path, "gzip", is_host=False).readable for layer in image.layers)


async def test_two_stores_give_the_same_bytes(lab: Lab, engine: str, kind: str) -> None:
    first = await lab.builder(0).build(lab.request(engine), "Dockerfile")
    again = await lab.builder(0).build(lab.request(engine), "Dockerfile")
    assert first.digest == again.digest
    assert (first.cached, again.cached) == (False, True)
    second = await lab.builder(1).build(lab.request(engine), "Dockerfile")
    if kind == "docker":  # its daemon rewrites no times, neither of files nor in the history
        one, other = (parse_image_config(image.config_raw) for image in (first, second))
        assert replace(one, diff_ids=(), history=()) == replace(other, diff_ids=(), history=())
    else:
        assert first.digest == second.digest


async def test_a_step_that_fails_is_told_in_its_own_words(lab: Lab, engine: str) -> None:
    lab.write("echo the pump is dry; exit 7")
    with pytest.raises(EngineFailedError) as caught:
        await lab.builder().build(lab.request(engine), "Dockerfile")
    assert "the pump is dry" in caught.value.message


async def test_a_cancelled_build_leaves_no_process_behind(lab: Lab, engine: str) -> None:
    mark = f"towpath-{os.getpid()}-{engine}"
    lab.write(f"echo started {mark}; while :; do :; done")
    building = asyncio.create_task(lab.builder().build(lab.request(engine), "Dockerfile"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(line.strip().endswith(f"started {mark}") for line in lab.lines):
            assert not building.done(), building.exception()
            await asyncio.sleep(0.05)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        while running_with(mark):  # noqa: ASYNC110 - the kernel sets no Event
            await asyncio.sleep(0.05)


def running_with(mark: str) -> list[str]:
    """The processes that have this text in their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if mark in arguments:
                found.append(arguments)
    return found


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[tuple[RegistryClient, Reference]]:
    async with serve_registry(tmp_path / "registry") as server:
        client = server.client()
        yield client, server.reference("lab/web")
        await client.close()


async def test_the_image_is_pushed_and_attested_as_every_other(
    lab: Lab, engine: str, registry: tuple[RegistryClient, Reference], tmp_path: Path
) -> None:
    client, repository = registry
    request = lab.request(engine)
    image = await lab.builder().build(request, "Dockerfile")
    await Pusher(lab.cache(), client).push(image, repository.with_tag("sha-0123456"))
    attestor = Attestor(cache=lab.cache(), registry=client, find_signer=lambda: None)
    assert await attestor.attach(request, image, repository) == ()
    pinned = repository.with_digest(image.digest)
    (listed,) = await client.referrers(pinned, artifact_type="application/vnd.in-toto+json")
    manifest = parse_manifest((await client.manifest(repository.with_digest(listed.digest))).content)
    assert isinstance(manifest, Manifest)
    statement = json.loads(await client.read_blob(repository, manifest.layers[0]))
    predicate = statement["predicate"]
    assert predicate["buildDefinition"]["externalParameters"]["target"] == "web"
    assert predicate["buildDefinition"]["externalParameters"]["secrets"] == ["token"]
    assert predicate["runDetails"]["builder"]["version"]["engine"] == image.engine
    source = f"docker://{repository.with_tag('sha-0123456')}"
    login = ("--src-creds=reader:reader-secret", "--src-tls-verify=false")
    copied = await asyncio.create_subprocess_exec(require("skopeo"), "copy", *login, source, f"dir:{tmp_path}/copy")
    assert await copied.wait() == 0


async def test_the_builder_takes_a_dockerfile_by_convention(
    lab: Lab, engine: str, registry: tuple[RegistryClient, Reference]
) -> None:
    client, _ = registry
    builder = Builder(
        cache=lab.root / "cache0",
        registry=client,
        clock=SystemClock(),
        dockerfiles=lab.builder(),
        environ=lab.environ(0),
    )
    request = lab.request(engine)
    image = await builder.build(request)
    assert image.engine.startswith(engine)


def test_the_platform_builds_a_dockerfile_on_a_push(tmp_path: Path) -> None:
    require("buildah")
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        copy_shell(platform.root / "services" / "lamp" / "system")
        platform.commit(
            {
                source_of("lamp"): None,
                "services/lamp/Dockerfile": DOCKERFILE.format(step=STEP),
                "services/lamp/index.html": "hello\n",
                "towpath.yaml": (platform.root / "towpath.yaml").read_text()
                + "services:\n  lamp: {dockerfile: Dockerfile, target: web, secrets: [token], engine: buildah}\n",
            },
            "Bring a Dockerfile",
        )
        secrets = platform.state / "build-secrets"
        secrets.mkdir(parents=True)
        (secrets / "token").write_text("hush-hush")
        (secrets / "token").chmod(0o600)
        platform.start()
        platform.push()
        tag = f"sha-{platform.head()[:7]}"
        platform.await_("the set of the commit", lambda: tag in platform.tags("sets"), show=platform.log_tail)
        said = platform.document("verify", f"lamp:{tag}", "--allow-unsigned")
        assert said["verdict"] == "passed"
        assert "hush-hush" not in platform.log.read_text()
