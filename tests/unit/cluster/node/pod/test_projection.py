import base64
from pathlib import Path
from typing import Any

import pytest

from towpath.cluster.node.pod.projection import ProjectedFile, VolumeError, plan_files, write_files
from towpath.cluster.node.pod.references import Config, ConfigKey, MissingConfigError
from towpath.kube.objects import Object

POD: Object = {
    "metadata": {"name": "web", "namespace": "dev", "labels": {"app": "x"}},
    "spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "2"}}}]},
}
CONFIG = Config(
    "dev",
    {
        ConfigKey("ConfigMap", "settings"): {
            "kind": "ConfigMap",
            "data": {"a": "1", "b": "2"},
            "binaryData": {"raw": base64.b64encode(b"\xff").decode()},
        },
        ConfigKey("Secret", "keys"): {"kind": "Secret", "data": {"key": base64.b64encode(b"s").decode()}},
    },
)


class Tokens:
    def token(self, pod: Object, *, lifetime_seconds: int) -> str:
        return f"token of {pod['metadata']['name']} for {lifetime_seconds}"


def plan(**volume: Any) -> dict[str, ProjectedFile]:
    return plan_files(POD, {"name": "v", **volume}, CONFIG, Tokens(), {"cpu": "4"})


def contents(files: dict[str, ProjectedFile]) -> dict[str, bytes]:
    return {name: file.content for name, file in files.items()}


def test_a_config_map_shows_every_key_text_and_binary() -> None:
    assert contents(plan(configMap={"name": "settings"})) == {"a": b"1", "b": b"2", "raw": b"\xff"}


def test_items_choose_rename_and_set_modes() -> None:
    files = plan(
        configMap={"name": "settings", "defaultMode": 0o400, "items": [{"key": "a", "path": "x/y", "mode": 0o600}]}
    )
    assert files == {"x/y": ProjectedFile(b"1", 0o600)}


def test_a_secret_takes_the_volumes_mode() -> None:
    assert plan(secret={"secretName": "keys", "defaultMode": 0o600}) == {"key": ProjectedFile(b"s", 0o600)}


def test_a_projected_volume_joins_its_sources() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "a"}]}},
        {"secret": {"name": "keys"}},
        {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    files = plan(projected={"sources": sources})
    assert contents(files) == {"token": b"token of web for 600", "a": b"1", "key": b"s", "ns": b"dev"}
    assert files["token"].mode == 0o600


def test_the_downward_api_shows_fields_and_resources() -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "app", "resource": "limits.cpu"}},
    ]
    assert contents(plan(downwardAPI={"items": items})) == {"labels": b'app="x"', "cpu": b"2"}


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ({"configMap": {"name": "absent"}}, 'configmap "absent" not found'),
        ({"secret": {"secretName": "absent"}}, 'secret "absent" not found'),
        (
            {"configMap": {"name": "settings", "items": [{"key": "z", "path": "z"}]}},
            "references non-existent configmap key: z",
        ),
    ],
)
def test_what_is_missing_is_an_error_unless_it_is_optional(volume: dict[str, Any], text: str) -> None:
    with pytest.raises(MissingConfigError) as caught:
        plan(**volume)
    assert caught.value.message == text
    assert plan(**{kind: {**source, "optional": True} for kind, source in volume.items()}) == {}


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "..data", ""])
def test_a_path_that_leaves_the_volume_is_refused(path: str) -> None:
    with pytest.raises(VolumeError, match="ClimbsOut"):
        plan(configMap={"name": "settings", "items": [{"key": "a", "path": path}]})


def test_without_tokens_a_token_volume_is_refused() -> None:
    volume = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    with pytest.raises(VolumeError, match="issues no tokens"):
        plan_files(POD, volume, CONFIG, None, {})


def one(text: str, mode: int = 0o644) -> dict[str, ProjectedFile]:
    return {"conf": ProjectedFile(text.encode(), mode), "d/inner": ProjectedFile(b"i")}


def test_files_are_visible_through_links_with_their_modes(tmp_path: Path) -> None:
    assert write_files(tmp_path / "v", one("1", 0o600))
    assert (tmp_path / "v" / "conf").read_text() == "1"
    assert (tmp_path / "v" / "d" / "inner").read_text() == "i"
    assert (tmp_path / "v" / "conf").stat().st_mode & 0o777 == 0o600


def test_an_update_swaps_all_files_in_one_step_and_removes_the_old(tmp_path: Path) -> None:
    write_files(tmp_path, {**one("1"), "gone": ProjectedFile(b"g")})
    before = (tmp_path / "..data").readlink()
    with (tmp_path / "conf").open() as reading:
        assert write_files(tmp_path, one("2"))
        assert reading.read() == "1"
    assert (tmp_path / "conf").read_text() == "2"
    assert (tmp_path / "..data").readlink() != before
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("..")) == ["conf", "d"]
    assert (
        len(
            [
                path
                for path in tmp_path.iterdir()
                if path.is_dir() and path.name.startswith("..") and not path.is_symlink()
            ]
        )
        == 1
    )


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    write_files(tmp_path, one("1"))
    before = (tmp_path / "..data").readlink()
    assert not write_files(tmp_path, one("1"))
    assert (tmp_path / "..data").readlink() == before
    assert write_files(tmp_path, one("1", 0o600))  # a mode is a change


def test_an_interrupted_update_is_finished_by_the_next(tmp_path: Path) -> None:
    write_files(tmp_path, one("1"))
    (tmp_path / "..data_tmp").symlink_to("..nowhere")
    assert write_files(tmp_path, one("2"))
    assert (tmp_path / "conf").read_text() == "2"
