"""`towpath demo --kubeconfig`: the demo on a cluster that is not its own, here the embedded one of another platform."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.platform import BIN, LivePlatform

# Three times what it takes on a small machine that does nothing else.
PATIENCE_SECONDS = 600
CONFLICT = 5


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """A platform that lends its cluster."""
    with LivePlatform(tmp_path_factory.mktemp("house"), name="house") as platform:
        platform.scaffold()
        platform.start()
        yield platform


def demo(house: LivePlatform, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [str(BIN / "towpath"), "demo", "--kubeconfig", str(house.state / "kubeconfig"), *options]
    environment = {**os.environ, "HOME": str(directory), "TMPDIR": str(directory), "NO_COLOR": "1"}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


def test_it_plays_every_scene_there_and_leaves_nothing_behind(house: LivePlatform, tmp_path: Path) -> None:
    done = demo(house, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f" at https://127.0.0.1:{house.kube_port}, context house)" in done.stdout
    assert "The whole loop took" in done.stdout
    assert sorted(tmp_path.rglob("*")) == []
    names = house.kubectl("get", "namespaces", "-o", "name").out.split()
    assert {"namespace/dev", "namespace/prod", "namespace/towpath"}.isdisjoint(names)


def test_it_touches_no_namespace_that_was_there_before(house: LivePlatform, tmp_path: Path) -> None:
    house.kubectl("apply", "-f", "-", stdin="{apiVersion: v1, kind: Namespace, metadata: {name: prod}}")
    done = demo(house, tmp_path)
    house.kubectl("delete", "namespace", "prod")

    assert done.returncode == CONFLICT
    assert "the cluster has prod already" in done.stderr


def test_a_context_that_is_not_there_is_said(house: LivePlatform, tmp_path: Path) -> None:
    done = demo(house, tmp_path, "--context", "moon")

    assert done.returncode == 2
    assert "moon" in done.stderr
