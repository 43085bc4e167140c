"""Daemons of our own for judging tests: asked until they answer, ended by their process."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Generous: a machine that compiles at the same time starts them slowly.
SECONDS_TO_START = 120
SECONDS_TO_END = 60
_BETWEEN_QUESTIONS_SECONDS = 0.05


@contextmanager
def run_daemon(argv: Sequence[object], *, question: Sequence[object], log: Path) -> Iterator[None]:
    """Run a daemon; `question` is a command that succeeds as soon as it serves."""
    with log.open("w") as file, subprocess.Popen([*map(str, argv)], stdout=file, stderr=file) as daemon:
        try:
            give_up = time.monotonic() + SECONDS_TO_START
            ask = [*map(str, question)]
            while subprocess.run(ask, capture_output=True, check=False).returncode != 0:
                assert daemon.poll() is None, log.read_text()
                assert time.monotonic() < give_up, log.read_text()
                time.sleep(_BETWEEN_QUESTIONS_SECONDS)
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                daemon.kill()
