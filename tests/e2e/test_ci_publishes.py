"""From a commit to images in the real registry: Git, builder, CI, registry and its client, over real sockets."""

import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from towpath.aio.clock import SystemClock
from towpath.build.builder import Builder
from towpath.build.host_base import host_platform
from towpath.ci.publication import Publication
from towpath.ci.report import CiReport, Outcome
from towpath.ci.run import CommitRun
from towpath.ci.runner import Runner
from towpath.http.credentials import SecretChecker, hash_secret
from towpath.http.server import Listener
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.reference import Reference
from towpath.oci.tags import sha_tag
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullCause, PullError
from towpath.registry.accounts import Account, Accounts, Grant, StoredSecret
from towpath.registry.app import create_registry_app
from towpath.registry.service import Registry
from towpath.server.blueprints import Blueprints
from towpath.server.ci_adapters import ServiceBuilder
from towpath.server.trees import RepositoryTrees
from towpath.source.repository import GitRepository

SERVICES = ("sensor", "chaos")


class StampLog:
    """Satisfies `Recorder`."""

    def __init__(self) -> None:
        self.stamps: list[tuple[str, str]] = []

    def stamp(self, commit: str, stage: str, *, environment: str = "") -> None:
        self.stamps.append((commit, stage + environment))


class Pipeline:
    """The parts between a commit and the registry, wired as the server wires them."""

    def __init__(self, data: Path, address: str) -> None:
        self.data = data
        self.address = address
        self.repository = GitRepository(data / "home.git")
        self.client = RegistryClient(keyring=Keyring.of({address: Credential("ci", "secret")}), clock=SystemClock())
        self.recorder = StampLog()
        clock = SystemClock()
        self.builder = Builder(cache=data / "cache", registry=self.client, clock=clock)
        source = RepositoryTrees(self.repository, Blueprints(self.repository, default_name="home"), branch="main")
        publication = Publication(self.client)
        commit_run = CommitRun(
            source=source,
            builder=ServiceBuilder(self.builder, platforms=[host_platform()], source_url=""),
            publication=publication,
            recorder=self.recorder,
            clock=clock,
            workdir=data / "work",
            parallel=2,
        )
        self.runner = Runner(
            source=source,
            commit_run=commit_run,
            publication=publication,
            recorder=self.recorder,
            clock=clock,
            data=data / "ci",
        )

    async def commit(self, **programs: str) -> str:
        files = {f"services/{name}/main.py": text.encode() for name, text in programs.items()}
        files["towpath.yaml"] = f"registry: {self.address}/home\n".encode()
        parent = await self.repository.find_commit("refs/heads/main")
        return await self.repository.commit_files(
            "main", files, message="change", author="Test <test@example.com>", parent=parent
        )

    async def push(self, **programs: str) -> CiReport:
        commit = await self.commit(**programs)
        await self.runner.receive(ref="refs/heads/main", after=commit, branch="main")
        await self.runner.settled()
        report = self.runner.find_report(commit)
        assert report is not None
        return report

    def reference(self, service: str, tag: str) -> Reference:
        return Reference.parse(f"{self.address}/home/{service}").with_tag(tag)


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    registry = Registry(tmp_path / "registry", clock=SystemClock())
    await registry.start()
    secret_hash = hash_secret("secret", salt=secrets.token_bytes(16), iterations=1000)
    accounts = Accounts(
        [Account("ci", (StoredSecret("1", secret_hash),), (Grant("home/*"),))],
        checker=SecretChecker(key=secrets.token_bytes(16)),
    )
    listener = Listener(create_registry_app(registry, accounts))
    await listener.start()
    pipeline = Pipeline(tmp_path, listener.address)
    await pipeline.repository.init()
    await pipeline.runner.start()
    yield pipeline
    await pipeline.runner.close()
    await pipeline.client.close()
    await listener.close()
    await registry.close()


async def test_a_push_ends_as_images_of_its_commit_under_tag_and_channel(pipeline: Pipeline) -> None:
    report = await pipeline.push(sensor="print('sensor')\n", chaos="print('chaos')\n")

    assert (report.outcome, report.error) == (Outcome.PUBLISHED, "")
    for service in SERVICES:
        tagged = await pipeline.client.image(pipeline.reference(service, sha_tag(report.commit)), host_platform())
        channel = await pipeline.client.resolve(pipeline.reference(service, "canary"))
        assert tagged.descriptor.digest == channel.digest
        assert tagged.config.labels["org.opencontainers.image.revision"] == report.commit
        assert tagged.config.labels["org.opencontainers.image.version"] == sha_tag(report.commit)
    assert [stage for _, stage in pipeline.recorder.stamps] == ["fetched", "built", "pushed"]


async def test_the_next_push_carries_what_it_did_not_touch(pipeline: Pipeline) -> None:
    first = await pipeline.push(sensor="print('sensor')\n", chaos="print('chaos')\n")
    second = await pipeline.push(sensor="print('sensor 2')\n", chaos="print('chaos')\n")
    by_name = {service.service: service for service in second.services}

    assert second.outcome is Outcome.PUBLISHED
    assert by_name["chaos"].outcome == "carried"
    assert by_name["chaos"].revision == first.commit
    carried = await pipeline.client.resolve(pipeline.reference("chaos", sha_tag(second.commit)))
    assert str(carried.digest) == by_name["chaos"].digest


async def test_a_service_with_a_dockerfile_alone_publishes_nothing_and_says_why(pipeline: Pipeline) -> None:
    parent = await pipeline.repository.find_commit("refs/heads/main")
    files = {
        "services/sensor/main.py": b"print('ok')\n",
        "services/legacy/Dockerfile": b"FROM scratch\n",
        "towpath.yaml": f"registry: {pipeline.address}/home\n".encode(),
    }
    commit = await pipeline.repository.commit_files(
        "main", files, message="legacy", author="Test <test@example.com>", parent=parent
    )
    await pipeline.runner.receive(ref="refs/heads/main", after=commit, branch="main")
    await pipeline.runner.settled()
    report = pipeline.runner.find_report(commit)

    assert report is not None
    assert report.outcome is Outcome.FAILED
    legacy = next(service for service in report.services if service.service == "legacy")
    assert "EngineMissing" in legacy.error
    with pytest.raises(PullError) as caught:
        await pipeline.client.resolve(pipeline.reference("sensor", "canary"))
    assert caught.value.cause is PullCause.NOT_FOUND


async def test_a_lost_build_cache_costs_time_only(pipeline: Pipeline) -> None:
    await pipeline.push(sensor="print('sensor')\n", chaos="print('chaos')\n")
    shutil.rmtree(pipeline.data / "cache")
    report = await pipeline.push(sensor="print('sensor 2')\n", chaos="print('chaos')\n")

    assert report.outcome is Outcome.PUBLISHED
