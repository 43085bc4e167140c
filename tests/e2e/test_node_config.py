"""What pods are configured with: environment, volumes, tokens, images and their refusals."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.node_world import (
    IMAGE,
    OPTIONS,
    NodeWorld,
    add_image,
    command,
    container_status,
    is_ready,
    make_pod,
    node_world,
    phase_is,
    waiting_reason,
)
from towpath.aio.clock import SystemClock
from towpath.cluster.tokens import ServiceAccountTokens
from towpath.kube.objects import GVK
from towpath.kube.requests import DeleteOptions, Patch, PatchType
from towpath.oci.keyring import Credential, format_docker_config

CONFIG_MAP = GVK("", "v1", "ConfigMap")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with node_world(tmp_path) as made:
        yield made


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def pull_secret(name: str, credential: Credential) -> dict[str, object]:
    content = base64.b64encode(format_docker_config({"registry.test": credential})).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": content},
    }


async def test_environment_comes_from_config_maps_secrets_and_the_pod_itself(world: NodeWorld) -> None:
    await world.create(config_map("settings", MODE="fast", LEVEL="3"))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "default"}}
    await world.create({**secret, "data": {"password": base64.b64encode(b"s3cret").decode()}})
    env = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "key", "key": "password"}}},
        {"name": "GREETING", "value": "$(MODE) $(NOBODY) $$(MODE)"},
    ]
    pod = await world.run_pod("web", container={"env": env, "envFrom": [{"configMapRef": {"name": "settings"}}]})
    variables = dict(line.split("=", 1) for line in (await world.get(pod, "/env")).splitlines())
    assert variables["LEVEL"] == "3"
    assert variables["PASSWORD"] == "s3cret"
    assert variables["GREETING"] == "fast $(NOBODY) $(MODE)"
    assert variables["POD_IP"] == pod["status"]["podIP"]
    assert variables["KUBERNETES_SERVICE_HOST"] in {"10.43.0.1", "127.0.0.1"}


async def test_a_pod_waits_for_a_missing_config_map_and_starts_when_it_appears(world: NodeWorld) -> None:
    await world.create(make_pod("web", container={"envFrom": [{"configMapRef": {"name": "late"}}]}))
    pod = await world.wait_for("web", lambda pod: waiting_reason(pod) == "CreateContainerConfigError")
    assert container_status(pod)["state"]["waiting"]["message"] == 'configmap "late" not found'
    await world.create(config_map("late", A="1"))
    await world.wait_for("web", is_ready)


async def test_a_mounted_config_map_follows_its_object(world: NodeWorld) -> None:
    await world.create(config_map("settings", mode="slow"))
    volume = {"name": "config", "configMap": {"name": "settings"}}
    mount = {"volumeMounts": [{"name": "config", "mountPath": "/etc/app"}]}
    pod = await world.run_pod("web", container=mount, volumes=[volume])
    assert await world.get(pod, "/file/etc/app/mode") == "slow"
    change = Patch(PatchType.MERGE, {"data": {"mode": "fast", "more": "yes"}})
    await world.client.patch(CONFIG_MAP, "settings", "default", change, OPTIONS)
    while await world.get(pod, "/file/etc/app/mode") != "fast":
        pass
    assert await world.get(pod, "/file/etc/app/more") == "yes"


async def test_a_volume_of_a_missing_secret_keeps_the_pod_waiting_with_the_reason(world: NodeWorld) -> None:
    volume = {"name": "keys", "secret": {"secretName": "absent"}}
    mount = {"volumeMounts": [{"name": "keys", "mountPath": "/keys"}]}
    await world.create(make_pod("web", container=mount, volumes=[volume]))
    pod = await world.wait_for(
        "web", lambda pod: "absent" in str(container_status(pod).get("state", {}).get("waiting", {}).get("message"))
    )
    text = 'MountVolume.SetUp failed for volume "keys" : secret "absent" not found'
    assert container_status(pod)["state"]["waiting"] == {"reason": "ContainerCreating", "message": text}
    assert text in world.events.messages("FailedMount")


async def test_a_pod_gets_a_token_of_its_service_account(tmp_path: Path) -> None:
    tokens = ServiceAccountTokens(b"k" * 32, clock=SystemClock())
    async with node_world(tmp_path, tokens=tokens) as world:
        await world.create(config_map("kube-root-ca.crt", **{"ca.crt": "PEM"}))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
        await world.create(account)
        pod = await world.run_pod("web", serviceAccountName="robot")
        base = "/file/var/run/secrets/kubernetes.io/serviceaccount"
        bearer = tokens.find_bearer(await world.get(pod, f"{base}/token"))
        assert bearer is not None
        assert (bearer.namespace, bearer.service_account, bearer.pod) == ("default", "robot", "web")
        assert await world.get(pod, f"{base}/ca.crt") == "PEM"
        assert await world.get(pod, f"{base}/namespace") == "default"


async def test_a_missing_tag_is_an_image_pull_error_in_containerds_words(world: NodeWorld) -> None:
    await world.create(make_pod("web", container={"image": "registry.test/app:v9"}))
    pod = await world.wait_for("web", lambda pod: waiting_reason(pod) == "ErrImagePull")
    message = container_status(pod)["state"]["waiting"]["message"]
    assert message == (
        "rpc error: code = NotFound desc = failed to pull and unpack image "
        '"registry.test/app:v9": failed to resolve reference "registry.test/app:v9": registry.test/app:v9: not found'
    )
    pod = await world.wait_for("web", lambda pod: waiting_reason(pod) == "ImagePullBackOff")
    assert container_status(pod)["state"]["waiting"]["message"].startswith(
        'Back-off pulling image "registry.test/app:v9"'
    )


async def test_a_mended_pull_secret_is_used_without_waiting_for_the_back_off(world: NodeWorld) -> None:
    world.registry.credentials = Credential("puller", "right")
    await world.create(pull_secret("pull", Credential("puller", "wrong")))
    add_image(world.registry, "registry.test/private:v1", b"import time; time.sleep(600)")
    container = {"image": "registry.test/private:v1", "imagePullPolicy": "Always", "readinessProbe": None}
    await world.create(make_pod("web", container=container, imagePullSecrets=[{"name": "pull"}]))
    await world.wait_for("web", lambda pod: waiting_reason(pod) == "ImagePullBackOff")
    await world.client.update(pull_secret("pull", Credential("puller", "right")), OPTIONS)
    await world.wait_for("web", is_ready)


async def test_a_bad_image_name_is_said_to_be_one(world: NodeWorld) -> None:
    await world.create(make_pod("web", container={"image": "registry.test/App:V1"}))
    pod = await world.wait_for("web", lambda pod: waiting_reason(pod) == "InvalidImageName")
    assert "invalid reference format" in container_status(pod)["state"]["waiting"]["message"]


async def test_an_image_that_is_present_starts_without_the_registry(world: NodeWorld) -> None:
    await world.run_pod("first")
    heads, downloads = world.registry.heads, len(world.registry.downloads)
    await world.run_pod("second")
    assert (world.registry.heads, len(world.registry.downloads)) == (heads, downloads)


async def test_always_asks_the_registry_once_and_downloads_nothing_again(world: NodeWorld) -> None:
    await world.run_pod("first")
    heads, downloads = world.registry.heads, len(world.registry.downloads)
    await world.run_pod("second", container={"imagePullPolicy": "Always"})
    assert (world.registry.heads, len(world.registry.downloads)) == (heads + 1, downloads)


async def test_a_damaged_layer_is_refused_and_leaves_nothing(world: NodeWorld) -> None:
    add_image(world.registry, "registry.test/bad:v1", b"print('original')")
    manifest = world.registry.images["registry.test/bad:v1"].manifest
    digest = manifest.layers[1].digest
    content = bytearray(world.registry.blobs[digest])
    content[600] ^= 1
    world.registry.blobs[digest] = bytes(content)
    await world.create(make_pod("web", container={"image": "registry.test/bad:v1"}))
    pod = await world.wait_for("web", lambda pod: waiting_reason(pod) == "ErrImagePull")
    assert "is damaged (Digest)" in container_status(pod)["state"]["waiting"]["message"]
    layers = world.directory / "node" / "images" / "layers"
    assert digest.hex not in {path.name for path in layers.iterdir()}
    assert not list(layers.glob("unpack-*"))


async def test_whiteouts_of_an_upper_layer_hide_files_below(world: NodeWorld) -> None:
    from fakes.images import make_layer
    from fakes.node_world import image_config, interpreter_layer

    lower = make_layer(
        {"app/old": b"old", "app/dir/a": b"a", "app/main.py": b"import os; print(sorted(os.listdir('/app')))"}
    )
    upper = make_layer({"app/.wh.old": b"", "app/dir/.wh..wh..opq": b"", "app/dir/b": b"b"})
    world.registry.add("registry.test/hiding:v1", [interpreter_layer(), lower, upper], image_config())
    container = {"image": "registry.test/hiding:v1", "readinessProbe": None}
    await world.create(make_pod("web", container=container, restartPolicy="Never"))
    await world.wait_for("web", phase_is("Succeeded", "Failed"))
    assert await world.log("web") == "['dir', 'main.py']\n"


async def test_a_force_deleted_pod_is_killed_at_once(world: NodeWorld) -> None:
    program = (
        "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    await world.create(make_pod("slow", container=command(program), terminationGracePeriodSeconds=600))
    await world.wait_for("slow", is_ready)
    pod = GVK("", "v1", "Pod")
    await world.client.delete(pod, "slow", "default", DeleteOptions(grace_period_seconds=0))
    pods = world.directory / "node" / "pods"
    async with asyncio.timeout(120):
        while list(pods.iterdir()):  # noqa: ASYNC110 - the file system tells nobody
            await asyncio.sleep(0.01)


async def test_image_names_are_cached_by_digest(world: NodeWorld) -> None:
    await world.run_pod("first")
    digest = container_status(await world.wait_for("first", is_ready))["imageID"].partition("@")[2]
    heads = world.registry.heads
    await world.run_pod("second", container={"image": f"{IMAGE}@{digest}"})
    assert world.registry.heads == heads
