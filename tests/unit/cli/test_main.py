"""The command line itself: errors, exit codes, and a platform that is not there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from fakes.canned_platform import CannedPlatform
from towpath import __version__
from towpath.cli.commands import COMMANDS
from towpath.cli.main import main
from towpath.server.runfile import RunInfo
from towpath.server.running import write_run_info

NEED_A_PLATFORM = (
    ["status"],
    ["history"],
    ["where", "main"],
    ["events"],
    ["logs", "sensor"],
    ["diff", "dev"],
    ["explain"],
    ["promote", "sensor", "--to", "prod"],
    ["rollback", "prod"],
    ["hold", "prod"],
    ["reconcile", "dev"],
)


def test_help_names_every_command_and_every_exit_code(type_: Callable[..., Any]) -> None:
    said = type_("--help")

    assert said.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in said.out] == ["git-credential"]
    assert "130 interrupted" in said.out
    assert type_("--version").out == f"towpath {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["status", "--colour"], ["promote", "sensor"], ["history", "-n", "0"], ["hold", "x", "--for", "0"]],
)
def test_wrong_usage_ends_with_2(type_: Callable[..., Any], arguments: list[str]) -> None:
    said = type_(*arguments)

    assert said.code == 2
    assert "Error: " in said.err


@pytest.mark.parametrize("arguments", NEED_A_PLATFORM, ids=lambda arguments: arguments[0])
def test_without_a_platform_repository_the_next_step_is_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: Callable[..., Any], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = type_(*arguments)

    assert said.code == 2
    assert "is no platform repository" in said.err
    assert "towpath init" in said.err


@pytest.mark.parametrize("arguments", NEED_A_PLATFORM, ids=lambda arguments: arguments[0])
def test_a_platform_that_does_not_run_is_named_with_the_next_step(
    tmp_path: Path, type_: Callable[..., Any], arguments: list[str]
) -> None:
    (tmp_path / "towpath.yaml").touch()
    said = type_(*arguments, "-C", str(tmp_path))

    assert said.code == 2
    assert f"next: cd {tmp_path} && towpath up" in said.err


def test_a_platform_that_does_not_answer_ends_with_6(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    write_run_info(platform.state, RunInfo(os.getpid(), "http://127.0.0.1:1", "", "1"))
    said = type_("status")

    assert (said.code, "cannot be reached (Connection)" in said.err) == (6, True)
    assert type_("doctor").code == 3


@pytest.mark.parametrize("answer", [b"<html>", b""])
def test_an_answer_that_is_none_of_ours_ends_with_6(
    platform: CannedPlatform, type_: Callable[..., Any], answer: bytes
) -> None:
    platform.answer("GET /status", answer)
    assert type_("status").code == 6
    platform.answer("GET /status", answer, status=502)
    assert type_("status").code == 6


def test_a_command_may_be_typed_anywhere_in_the_repository(
    platform: CannedPlatform, type_: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    below = platform.root / "services" / "sensor"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    platform.answer("GET /explain", {"findings": []})

    assert type_("explain").code == 0


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Group, "main", interrupted)

    assert main(["status"]) == 130
    assert capsys.readouterr().err == "towpath: interrupted\n"


def test_doctor_works_without_a_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = type_("doctor", "-o", "json")

    (found,) = [check for check in said.json()["checks"] if check["check"] == "platform"]
    assert (said.code, found["state"]) == (0, "warning")
