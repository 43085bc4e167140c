"""How far a build is, for whoever has no terminal and for whoever has one."""

import pytest

from towpath.ci.batch import Step
from towpath.cli.buildbars import BuildBars


def play(bars: BuildBars) -> None:
    with bars:
        for step in Step:
            bars.began("sensor", step)
            if step is Step.PUSH:
                bars.sent("sensor", 1500)
            bars.ended("sensor", step, failed=False)
        bars.began("chaos", Step.BUILD)
        bars.ended("chaos", Step.BUILD, failed=True)
        bars.began("lamp", Step.BUILD)
        bars.ended("lamp", Step.BUILD, failed=False, cached=True)


def test_without_a_terminal_each_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    play(BuildBars(("chaos", "lamp", "sensor")))

    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(" after")[0] for line in said.err.splitlines()] == [
        "sensor: built",
        "sensor: pushed",
        "chaos: failed",
        "lamp: cached",
    ]


def test_on_a_terminal_each_service_has_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    play(BuildBars(("chaos", "lamp", "sensor")))

    said = capsys.readouterr()
    assert said.out == ""
    assert "pushed" in said.err
    assert "1.5 KiB sent" in said.err
    assert "sensor: built after" not in said.err
