"""Which outside cluster is remembered, and for how long."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from towpath.errors import TowpathError, UserError
from towpath.kubeclient.kubeconfig import KubeconfigError
from towpath.server.clusterfile import (
    CLUSTER_FILE,
    explain_remembered,
    find_cluster,
    recall_cluster,
    remember_cluster,
)
from towpath.server.settings import OutsideCluster, Settings


def kubeconfig(path: Path, *, current: str = "home") -> Path:
    """A kubeconfig with two contexts."""
    names = ("home", "work")
    document = {
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.test"}} for name in names],
        "users": [{"name": name, "user": {"token": "t"}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        "current-context": current,
    }
    path.write_text(yaml.safe_dump(document))
    return path


def start(settings: Settings) -> Settings:
    """What a start that succeeds does."""
    settings = recall_cluster(settings)
    remember_cluster(settings)
    return settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "lab"
    (directory / ".towpath").mkdir(parents=True)
    return directory


def test_a_cluster_is_named_once_and_its_context_stays_whatever_becomes_current(root: Path, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config")
    first = start(Settings(root, outside=OutsideCluster(file)))
    kubeconfig(file, current="work")
    second = start(Settings(root))

    assert first.outside == second.outside == OutsideCluster(file, "home", "towpath")


def test_a_named_context_wins_over_the_current_one_and_replaces_what_was_remembered(root: Path, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config")
    start(Settings(root, outside=OutsideCluster(file)))
    start(Settings(root, outside=OutsideCluster(file, "work", "ops")))

    assert find_cluster(root / ".towpath") == OutsideCluster(file, "work", "ops")


def test_going_back_to_the_embedded_cluster_is_remembered_too(root: Path, tmp_path: Path) -> None:
    start(Settings(root, outside=OutsideCluster(kubeconfig(tmp_path / "config"))))

    assert start(Settings(root, embedded=True)).outside is None
    assert start(Settings(root)).outside is None


def test_a_start_that_fails_leaves_the_earlier_choice_as_it_was(root: Path, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config")
    recall_cluster(Settings(root, outside=OutsideCluster(file)))
    assert find_cluster(root / ".towpath") is None

    start(Settings(root, outside=OutsideCluster(file)))
    recall_cluster(Settings(root, embedded=True))
    assert find_cluster(root / ".towpath") == OutsideCluster(file, "home", "towpath")


def test_a_path_is_stored_without_detours_and_a_link_stays_one(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(kubeconfig(tmp_path / "config"))
    start(Settings(root, outside=OutsideCluster(root / ".." / "link")))

    assert find_cluster(root / ".towpath") == OutsideCluster(tmp_path.resolve() / "link", "home", "towpath")


@pytest.mark.parametrize(
    ("named", "error", "told"),
    [
        ({}, KubeconfigError("ca.crt cannot be read"), True),
        ({}, UserError("the port is taken"), False),
        ({"embedded": True}, KubeconfigError("ca.crt cannot be read"), False),
        ({"outside": OutsideCluster(Path("config"))}, KubeconfigError("ca.crt cannot be read"), False),
    ],
)
def test_a_remembered_cluster_that_cannot_be_used_says_how_to_go_back(
    root: Path, named: dict[str, Any], error: TowpathError, told: bool
) -> None:
    explain_remembered(Settings(root, **named), error)

    assert ("towpath up --embedded" in error.hint) is told


def test_a_context_that_is_not_there_is_refused_before_it_is_remembered(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no context 'moon'"):
        recall_cluster(Settings(root, outside=OutsideCluster(kubeconfig(tmp_path / "config"), "moon")))

    assert not (root / ".towpath" / CLUSTER_FILE).exists()


def test_a_pod_remembers_nothing(root: Path) -> None:
    settings = Settings(root, outside=OutsideCluster(None, namespace="ops"))

    assert recall_cluster(settings) == settings
    assert not (root / ".towpath" / CLUSTER_FILE).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 9}', '{"version": 1}'])
def test_a_file_that_cannot_be_read_never_means_the_embedded_cluster(root: Path, content: str) -> None:
    (root / ".towpath" / CLUSTER_FILE).write_text(content)

    with pytest.raises(UserError, match="cannot be read") as caught:
        recall_cluster(Settings(root))
    assert "--embedded" in caught.value.hint
