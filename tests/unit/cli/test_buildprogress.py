"""How far a build is, for whoever has no terminal and for whoever has one."""

import pytest

from towpath.ci.batch import Step
from towpath.cli.buildprogress import BuildProgress

SERVICES = ("chaos", "lamp", "sensor", "site")


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def play(progress: BuildProgress) -> None:
    with progress:
        progress.ended("site", Step.BUILD, failed=False, cached=True)
        for step in (Step.EXPORT, Step.BUILD, Step.PUSH):
            progress.began("sensor", step)
            if step is Step.PUSH:
                progress.sent("sensor", 1500)
            progress.ended("sensor", step, failed=False)
        progress.began("chaos", Step.BUILD)
        progress.lines_of("chaos")("step 1 of [3]")
        progress.ended("chaos", Step.BUILD, failed=True)
        progress.began("lamp", Step.BUILD)
        progress.ended("lamp", Step.BUILD, failed=False, cached=True)


def test_without_a_terminal_each_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    play(BuildProgress(SERVICES))

    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(" after")[0] for line in said.err.splitlines()] == [
        "site: cached",
        "sensor: built",
        "sensor: pushed",
        "chaos | step 1 of [3]",
        "chaos: failed",
        "lamp: cached",
    ]


@pytest.mark.usefixtures("on_a_terminal")
def test_on_a_terminal_each_service_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    play(BuildProgress(SERVICES))

    said = capsys.readouterr()
    assert said.out == ""
    assert "pushed" in said.err
    assert "1.5 KiB sent" in said.err
    assert "cached" in said.err
    assert "chaos | step 1 of [3]" in said.err
    assert "sensor: built after" not in said.err


@pytest.mark.usefixtures("on_a_terminal")
def test_a_build_that_finds_all_done_shows_no_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with BuildProgress(SERVICES) as progress:
        for service in SERVICES:
            progress.ended(service, Step.BUILD, failed=False, cached=True)

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_what_was_stopped_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    with BuildProgress(SERVICES) as progress:
        for step in (Step.EXPORT, Step.BUILD):
            progress.began("sensor", step)
            progress.ended("sensor", step, failed=False, interrupted=True)

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" after")[0] for line in lines] == ["sensor: interrupted"] * 2
