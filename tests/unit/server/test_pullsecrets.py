"""The pull secret that every environment's manifests name, and what it opens."""

import base64
import json
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.reconciling import DesiredStates
from towpath.blueprint.model import PULL_SECRET
from towpath.errors import UserError
from towpath.kube.objects import Object, ObjectKey
from towpath.reconcile.desired import Desired
from towpath.reconcile.status import ApplicationStatus
from towpath.server.artifacts import Artifacts
from towpath.server.credentialfile import load_or_create
from towpath.server.pullsecrets import WithPullSecrets

HOST = "127.0.0.1:7070"


def workload(namespace: str, *, secret: str = PULL_SECRET, kind: str = "Deployment", image: str = "") -> Object:
    containers = [{"name": "web", "image": image}] if image else []
    pod = {"imagePullSecrets": [{"name": secret}], "containers": containers}
    spec = {
        "Pod": pod,
        "Deployment": {"template": {"spec": pod}},
        "CronJob": {"jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }[kind]
    group = "v1" if kind == "Pod" else "apps/v1"
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "web", "namespace": namespace}, "spec": spec}


class World:
    """One environment whose desired state a test sets."""

    def __init__(self, directory: Path) -> None:
        clock = VirtualClock()
        self.artifacts = Artifacts(directory, host=HOST, credentials=load_or_create(directory), clock=clock)
        self.artifacts.admit("dev", f"{HOST}/home")
        self.source = DesiredStates()
        self.pull_secrets = WithPullSecrets(self.source, self.artifacts)

    async def resolve(
        self, *objects: Object, revision: str = "c" * 40, waiting: dict[ObjectKey, tuple[str, ...]] | None = None
    ) -> list[Object]:
        """The secrets that join these objects."""
        self.source.states["dev"] = Desired("dev", "home", revision, objects, not_promoted=waiting or {})
        desired = await self.pull_secrets.resolve("dev")
        assert desired.objects[: len(objects)] == objects
        return list(desired.objects[len(objects) :])

    def settle(self, *, ready: bool, revision: str = "c" * 40) -> None:
        self.pull_secrets.settled(ApplicationStatus("dev", ready=ready, applied_revision=revision))

    @property
    def open(self) -> list[str]:
        return list(self.artifacts.pull_accounts.get("dev").repositories)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_each_namespace_that_names_it_gets_one(world: World) -> None:
    objects = (workload("b"), workload("a", kind="Pod"), workload("c", secret="other"), workload("d", kind="CronJob"))
    secrets = await world.resolve(*objects)

    assert [secret["metadata"] for secret in secrets] == [
        {"name": PULL_SECRET, "namespace": namespace} for namespace in "abd"
    ]
    assert secrets[0]["data"][".dockerconfigjson"] == world.pull_secrets.content("dev")
    (login,) = json.loads(base64.b64decode(secrets[0]["data"][".dockerconfigjson"]))["auths"].items()
    assert login[0] == HOST
    assert base64.b64decode(login[1]["auth"]).decode().startswith("pull-dev:")


async def test_one_that_the_overlay_brings_is_left_alone(world: World) -> None:
    metadata = {"name": PULL_SECRET, "namespace": "a"}
    brought: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}}

    assert await world.resolve(workload("a"), brought) == []
    assert world.pull_secrets.find_namespaces("dev") == frozenset()


async def test_objects_without_pods_need_none(world: World) -> None:
    odd: Object = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": "text"}
    plain: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "a"}}

    assert await world.resolve(odd, plain) == []


async def test_it_opens_just_what_the_overlay_pins_on_our_registry(world: World) -> None:
    await world.resolve(
        workload("a", image=f"{HOST}/home/lamp@sha256:{'0' * 64}"),
        workload("b", image=f"{HOST}/other/tool:v1"),
        workload("c", image="docker.io/library/redis:7"),
        workload("d", image="Not A Reference"),
    )
    assert world.open == ["home/lamp", "other/tool"]


async def test_what_waits_for_its_first_version_is_open_before_it_comes(world: World) -> None:
    await world.resolve(waiting={ObjectKey("apps", "Deployment", "a", "clock"): ("clock",)})
    assert world.open == ["home/clock"]


async def test_more_is_open_at_once_and_less_only_when_all_of_it_runs(world: World) -> None:
    lamp, clock = (workload(name, image=f"{HOST}/home/{name}:v1") for name in ("lamp", "clock"))
    await world.resolve(lamp, revision="a" * 40)
    world.settle(ready=True, revision="a" * 40)
    await world.resolve(clock, revision="b" * 40)
    assert world.open == ["home/clock", "home/lamp"]
    world.settle(ready=False, revision="b" * 40)
    world.settle(ready=True, revision="a" * 40)  # said of the revision before
    assert world.open == ["home/clock", "home/lamp"]
    world.settle(ready=True, revision="b" * 40)
    assert world.open == ["home/clock"]


async def test_an_overlay_that_cannot_be_read_leaves_open_what_is(world: World) -> None:
    await world.resolve(workload("a", image=f"{HOST}/home/lamp:v1"))
    world.source.states["dev"] = UserError("overlay dev was not rendered")
    await world.pull_secrets.follow("dev")
    assert world.open == ["home/lamp"]


async def test_where_it_is_to_be_is_not_known_before_it_was_resolved(world: World) -> None:
    assert world.pull_secrets.find_namespaces("dev") is None
    world.settle(ready=True)
    await world.resolve(workload("b"), workload("a"))
    assert world.pull_secrets.find_namespaces("dev") == frozenset({"a", "b"})
