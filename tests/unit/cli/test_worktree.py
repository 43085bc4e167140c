"""What the working copy says before anything runs."""

from pathlib import Path

import pytest

from towpath.cli.worktree import declared_branch, declared_channel, declared_port, declared_registry


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("registry: 127.0.0.1:7501/lab\n", 7501),
        ("registry: localhost:7502/lab\n", 7502),
        ("registry: ghcr.io/ada/lab\n", 7070),
        ("registry: ghcr.io:443/ada/lab\n", 7070),
        ("registry: 127.0.0.1:99999/lab\n", 7070),
        ("registry: [1, 2]\n", 7070),
        ("", 7070),
        ("- a list\n", 7070),
        ("a: [broken\n", 7070),
    ],
)
def test_the_port_is_that_of_the_registry_on_this_machine(tmp_path: Path, text: str, port: int) -> None:
    (tmp_path / "towpath.yaml").write_text(text)

    assert declared_port(tmp_path) == port


@pytest.mark.parametrize(
    ("text", "branch"), [("branch: develop\n", "develop"), ("branch: 5\n", "main"), ("branch: ''\n", "main")]
)
def test_the_branch_is_the_blueprints(tmp_path: Path, text: str, branch: str) -> None:
    (tmp_path / "towpath.yaml").write_text(text)

    assert declared_branch(tmp_path) == branch


def test_without_a_blueprint_the_conventions_hold(tmp_path: Path) -> None:
    assert (declared_port(tmp_path), declared_branch(tmp_path)) == (7070, "main")


@pytest.mark.parametrize(
    ("text", "registry", "channel"),
    [
        ("registry: ghcr.io/ada/lab\nchannel: edge\n", "ghcr.io/ada/lab", "edge"),
        ("name: lab\n", "127.0.0.1:7070/lab", "canary"),
        ("registry: [1]\nchannel: 5\n", "127.0.0.1:7070/my-lab", "canary"),
    ],
)
def test_where_images_are_is_the_blueprints(tmp_path: Path, text: str, registry: str, channel: str) -> None:
    (tmp_path / "My Lab").mkdir()
    (tmp_path / "My Lab" / "towpath.yaml").write_text(text)

    assert declared_registry(tmp_path / "My Lab") == registry
    assert declared_channel(tmp_path / "My Lab") == channel
