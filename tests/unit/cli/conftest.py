"""The command line, run in this process against a platform that answers from a table."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.canned_platform import CannedPlatform, canned_platform
from towpath.cli.main import main


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def json(self) -> Any:
        return json.loads(self.out)


Type = Callable[..., Said]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CannedPlatform]:
    with canned_platform(tmp_path / "lab") as running:
        monkeypatch.chdir(running.root)
        yield running


@pytest.fixture
def type_(capsysbinary: pytest.CaptureFixture[bytes]) -> Type:
    """Type a command, as `towpath …` in a shell."""

    def run(*arguments: str) -> Said:
        code = main(list(arguments))
        seen = capsysbinary.readouterr()
        return Said(code, seen.out.decode(), seen.err.decode())

    return run
