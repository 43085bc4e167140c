from pathlib import Path
from typing import Any

import pytest

from towpath.cluster.node.pod.references import Config, ConfigKey
from towpath.cluster.node.pod.volumes import ACCOUNT_MOUNT, MountError, PodVolumes, VolumeContext, with_service_account
from towpath.cluster.node.sandbox.argv import Mount
from towpath.kube.objects import Object

CONFIG = Config("dev", {ConfigKey("ConfigMap", "settings"): {"kind": "ConfigMap", "data": {"a": "1"}}})
CONTEXT = VolumeContext(config=CONFIG, tokens=None, allocatable={})


def pod(*volumes: dict[str, Any]) -> Object:
    return {"metadata": {"name": "web", "namespace": "dev"}, "spec": {"volumes": list(volumes), "containers": []}}


def container(**mount: Any) -> Object:
    return {"name": "app", "volumeMounts": [{"name": "v", "mountPath": "/m", **mount}]}


@pytest.fixture
def volumes(tmp_path: Path) -> PodVolumes:
    return PodVolumes(tmp_path / "pod", tmp_path / "memory")


def test_an_empty_dir_is_writable_by_all_and_can_live_in_memory(volumes: PodVolumes, tmp_path: Path) -> None:
    volumes.prepare(pod({"name": "v", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}), CONTEXT)
    directory = tmp_path / "pod" / "volumes" / "v"
    assert directory.stat().st_mode & 0o777 == 0o777
    assert (tmp_path / "memory" / "m").is_dir()
    assert volumes.mounts(container(), {}) == [Mount(str(directory), "/m", read_only=False)]
    assert volumes.mounts(container(readOnly=True), {})[0].read_only


def test_what_is_in_an_empty_dir_stays_when_the_volumes_are_prepared_again(volumes: PodVolumes, tmp_path: Path) -> None:
    spec = pod({"name": "v", "emptyDir": {}})
    volumes.prepare(spec, CONTEXT)
    (tmp_path / "pod" / "volumes" / "v" / "kept").touch()
    volumes.prepare(spec, CONTEXT)
    assert (tmp_path / "pod" / "volumes" / "v" / "kept").exists()


def test_config_is_mounted_read_only_and_told_when_it_changed(volumes: PodVolumes) -> None:
    spec = pod({"name": "v", "configMap": {"name": "settings"}})
    assert volumes.prepare(spec, CONTEXT)
    assert not volumes.prepare(spec, CONTEXT)
    [mount] = volumes.mounts(container(), {})
    assert mount.read_only
    assert (Path(mount.source) / "a").read_text() == "1"


def test_a_sub_path_is_one_file_or_a_directory_that_is_made(volumes: PodVolumes) -> None:
    volumes.prepare(pod({"name": "v", "configMap": {"name": "settings"}}, {"name": "e", "emptyDir": {}}), CONTEXT)
    [mount] = volumes.mounts(container(subPath="a"), {})
    assert Path(mount.source).read_text() == "1"
    [made] = volumes.mounts(container(name="e", subPathExpr="logs/$(NAME)"), {"NAME": "web"})
    assert Path(made.path).is_dir()
    assert made.path.endswith("e/logs/web")


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../../x"])
def test_a_sub_path_that_climbs_is_refused(volumes: PodVolumes, path: str) -> None:
    volumes.prepare(pod({"name": "v", "emptyDir": {}}), CONTEXT)
    with pytest.raises(MountError, match="ClimbsOut"):
        volumes.mounts(container(subPath=path), {})


def test_a_sub_path_through_a_link_that_a_workload_planted_is_refused(volumes: PodVolumes, tmp_path: Path) -> None:
    volumes.prepare(pod({"name": "v", "emptyDir": {}}), CONTEXT)
    (tmp_path / "pod" / "volumes" / "v" / "out").symlink_to("/etc")
    with pytest.raises(MountError, match="LinkEscape"):
        volumes.mounts(container(subPath="out"), {})


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ({"configMap": {"name": "absent"}}, 'configmap "absent" not found'),
        ({"hostPath": {"path": "/"}}, "volume type hostPath is not supported by this node"),
    ],
)
def test_a_volume_that_cannot_be_made_is_named(volumes: PodVolumes, volume: dict[str, Any], text: str) -> None:
    with pytest.raises(MountError) as caught:
        volumes.prepare(pod({"name": "v", **volume}), CONTEXT)
    assert caught.value.message == f'MountVolume.SetUp failed for volume "v" : {text}'


def test_a_mount_of_a_volume_that_does_not_exist_is_an_error(volumes: PodVolumes) -> None:
    volumes.prepare(pod(), CONTEXT)
    with pytest.raises(MountError, match='no volume "v"'):
        volumes.mounts(container(), {})


def test_everything_is_removed(volumes: PodVolumes, tmp_path: Path) -> None:
    volumes.prepare(pod({"name": "v", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}), CONTEXT)
    volumes.remove()
    assert not (tmp_path / "memory").exists()
    assert not (tmp_path / "pod" / "volumes").exists()


ACCOUNT = {"metadata": {"name": "default"}}


def with_containers(**spec: Any) -> Object:
    return {"spec": {"containers": [{"name": "app"}], **spec}}


def test_a_token_is_mounted_unless_the_pod_or_its_account_opts_out() -> None:
    completed = with_service_account(with_containers(), ACCOUNT)
    assert completed["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] == ACCOUNT_MOUNT
    assert completed["spec"]["volumes"][0]["projected"]["sources"]
    silent = {**ACCOUNT, "automountServiceAccountToken": False}
    assert with_service_account(with_containers(), silent) == with_containers()
    insisting = with_containers(automountServiceAccountToken=True)
    assert with_service_account(insisting, silent) != insisting
    refusing = with_containers(automountServiceAccountToken=False)
    assert with_service_account(refusing, ACCOUNT) == refusing
    assert with_service_account(with_containers(), None) == with_containers()


def test_a_containers_own_mount_at_that_place_is_kept() -> None:
    own = {"name": "app", "volumeMounts": [{"name": "mine", "mountPath": ACCOUNT_MOUNT}]}
    spec = {"spec": {"containers": [own]}}
    assert with_service_account(spec, ACCOUNT) == spec
