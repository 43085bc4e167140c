"""The pull secret that every environment's manifests name."""

import base64
import json
from pathlib import Path

from fakes.clock import VirtualClock
from fakes.reconciling import DesiredStates
from towpath.blueprint.model import PULL_SECRET
from towpath.kube.objects import Object
from towpath.reconcile.desired import Desired
from towpath.server.artifacts import Artifacts
from towpath.server.credentials import load_or_create, with_pull_accounts
from towpath.server.pullsecrets import WithPullSecrets

HOST = "127.0.0.1:7070"


def workload(namespace: str, *, secret: str = PULL_SECRET, kind: str = "Deployment") -> Object:
    pod = {"imagePullSecrets": [{"name": secret}], "containers": []}
    spec = pod if kind == "Pod" else {"template": {"spec": pod}}
    group = "v1" if kind == "Pod" else "apps/v1"
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "web", "namespace": namespace}, "spec": spec}


async def resolved(directory: Path, *objects: Object) -> list[Object]:
    """The secrets that join these objects."""
    credentials = with_pull_accounts(directory, load_or_create(directory), ["dev"])
    artifacts = Artifacts(directory / "registry", host=HOST, credentials=credentials, clock=VirtualClock())
    artifacts.admit("dev", credentials, f"{HOST}/home")
    source = DesiredStates()
    source.states["dev"] = Desired("dev", "home", "c" * 40, objects)
    desired = await WithPullSecrets(source, artifacts).resolve("dev")
    assert desired.objects[: len(objects)] == objects
    return list(desired.objects[len(objects) :])


async def test_each_namespace_that_names_it_gets_one(tmp_path: Path) -> None:
    secrets = await resolved(tmp_path, workload("b"), workload("a", kind="Pod"), workload("c", secret="other"))

    assert [secret["metadata"] for secret in secrets] == [
        {"name": PULL_SECRET, "namespace": "a"},
        {"name": PULL_SECRET, "namespace": "b"},
    ]
    (login,) = json.loads(base64.b64decode(secrets[0]["data"][".dockerconfigjson"]))["auths"].items()
    assert login[0] == HOST
    assert base64.b64decode(login[1]["auth"]).decode().startswith("pull-dev:")


async def test_one_that_the_overlay_brings_is_left_alone(tmp_path: Path) -> None:
    metadata = {"name": PULL_SECRET, "namespace": "a"}
    brought: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}}

    assert await resolved(tmp_path, workload("a"), brought) == []


async def test_objects_without_pods_need_none(tmp_path: Path) -> None:
    odd: Object = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": "text"}
    plain: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "a"}}

    assert await resolved(tmp_path, odd, plain) == []
