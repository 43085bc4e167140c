import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from towpath.blueprint.document import BlueprintError
from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import PULL_SECRET, UNRELEASED_TAG
from towpath.blueprint.scaffold import ScaffoldConflictError, prepare_scaffold, write_scaffold
from towpath.errors import UserError

REGISTRY = "127.0.0.1:7070/my-homelab"
KUBECTL = Path(sys.executable).with_name("kubectl")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("platform")
    write_scaffold(directory, name="my-homelab", registry=REGISTRY)
    return directory


def render(platform: Path, environment: str) -> list[dict[str, Any]]:
    overlay = platform / "k3s/overlays" / environment
    rendered = subprocess.run([KUBECTL, "kustomize", overlay], capture_output=True, check=True)
    return [document for document in yaml.safe_load_all(rendered.stdout) if document]


def workloads(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] in {"Deployment", "StatefulSet"}}


def test_its_blueprint_has_the_two_services_and_the_two_environments(platform: Path) -> None:
    paths = [str(path.relative_to(platform)) for path in platform.rglob("*") if path.is_file()]
    blueprint = load_blueprint((platform / "towpath.yaml").read_text(), paths, default_name="x")
    assert (blueprint.name, blueprint.registry) == ("my-homelab", REGISTRY)
    assert list(blueprint.services) == ["chaos-controller", "sensor"]
    assert [each.promotes_from for each in blueprint.environments.values()] == [None, "dev"]


def test_nothing_is_left_to_fill_in(platform: Path) -> None:
    for path in platform.rglob("*"):
        assert not path.is_file() or not re.search(r"\{\{(name|registry|unreleased)\}\}", path.read_text())
    assert (platform / ".gitignore").read_text().splitlines()[1] == "/.towpath/"


@pytest.mark.parametrize(
    ("environment", "tag", "sensors", "chaos"), [("dev", "canary", 1, 1), ("prod", UNRELEASED_TAG, 3, 0)]
)
def test_each_overlay_renders_with_its_versions_and_counts(
    platform: Path, environment: str, tag: str, sensors: int, chaos: int
) -> None:
    objects = render(platform, environment)
    made = workloads(objects)
    images = {name: made[name]["spec"]["template"]["spec"]["containers"][0]["image"] for name in made}
    assert images == {name: f"{REGISTRY}/{name}:{tag}" for name in ("sensor", "chaos-controller")}
    assert (made["sensor"]["spec"]["replicas"], made["chaos-controller"]["spec"]["replicas"]) == (sensors, chaos)
    assert {each["metadata"].get("namespace", each["metadata"]["name"]) for each in objects} == {environment}


def test_overlays_repeat_nothing_of_the_base(platform: Path) -> None:
    for environment in ("dev", "prod"):
        files = sorted(path.name for path in (platform / "k3s/overlays" / environment).iterdir())
        assert files == ["kustomization.yaml", "namespace.yaml"]


def test_every_pod_pulls_with_the_secret_runs_unprivileged_and_is_probed(platform: Path) -> None:
    for workload in workloads(render(platform, "dev")).values():
        template = workload["spec"]["template"]
        pod = template["spec"]
        container = pod["containers"][0]
        assert pod["imagePullSecrets"] == [{"name": PULL_SECRET}]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"readinessProbe", "livenessProbe", "resources"} <= set(container)
        assert (
            workload["spec"]["selector"]["matchLabels"].items()
            <= workload["spec"]["template"]["metadata"]["labels"].items()
        )


def test_the_chaos_controller_may_look_at_pods_and_nothing_else(platform: Path) -> None:
    roles = [each for each in render(platform, "dev") if each["kind"] == "Role"]
    assert [role["rules"] for role in roles] == [[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]]
    assert not [each for each in render(platform, "dev") if each["kind"].startswith("Cluster")]


def test_a_changed_schedule_changes_the_workload(tmp_path: Path) -> None:
    write_scaffold(tmp_path, name="lab", registry=REGISTRY)
    before = workloads(render(tmp_path, "dev"))
    schedule = tmp_path / "k3s/base/chaos-schedule.toml"
    schedule.write_text(schedule.read_text().replace("seed = 42", "seed = 43"))
    after = workloads(render(tmp_path, "dev"))
    assert json.dumps(before["chaos-controller"]) != json.dumps(after["chaos-controller"])
    assert before["sensor"] == after["sensor"]


def test_a_directory_that_has_a_platform_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "towpath.yaml").write_text("name: mine\n")
    with pytest.raises(ScaffoldConflictError, match=r"has a platform already \(Exists\): towpath\.yaml"):
        write_scaffold(tmp_path, name="lab", registry=REGISTRY)
    assert [path.name for path in tmp_path.iterdir()] == ["towpath.yaml"]
    assert (tmp_path / "towpath.yaml").read_text() == "name: mine\n"


def test_other_files_in_the_directory_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    written = write_scaffold(tmp_path / ".", name="lab", registry=REGISTRY)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert Path("towpath.yaml") in written
    assert all((tmp_path / path).is_file() for path in written)


def test_a_malformed_name_or_registry_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="a DNS label"):
        write_scaffold(tmp_path / "x", name="My Lab", registry=REGISTRY)
    with pytest.raises(BlueprintError, match="registry"):
        write_scaffold(tmp_path / "x", name="lab", registry="no path")
    assert not (tmp_path / "x").exists()


def test_a_place_that_cannot_be_written_to_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        write_scaffold(tmp_path / "file", name="lab", registry=REGISTRY)


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert prepare_scaffold(name="lab", registry=REGISTRY) == prepare_scaffold(name="lab", registry=REGISTRY)
