"""What the working copy says before anything runs."""

from pathlib import Path

import pytest

from towpath.cli.worktree import declared_branch, declared_port


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
