"""How far a build is, on the error output, so that a pipe gets the result alone.

On a terminal a bar for each service, loaded and shown when the first step begins: a build that finds all its work done
has none. Elsewhere a line for each step.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import click

from towpath.ci.batch import Step

if TYPE_CHECKING:
    from towpath.cli.buildbars import BuildBars

DONE = {Step.EXPORT: "exported", Step.BUILD: "built", Step.PUSH: "pushed"}


class BuildProgress:
    """`ci.batch.Watcher` for people."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = services
        self._is_terminal = sys.stderr.isatty() or bool(os.environ.get("FORCE_COLOR"))
        self._bars: BuildBars | None = None
        self._began: dict[str, float] = {}
        # What was done already, for bars that come later.
        self._found: list[tuple[str, Step, bool]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def lines_of(self, service: str) -> Callable[[str], None]:
        """Shows what an engine prints for a service, above the bars."""
        if self._is_terminal:
            return lambda line: self._open().print(f"{service} | {line}")
        return lambda line: click.echo(f"{service} | {line}", err=True)

    def began(self, service: str, step: Step, /) -> None:
        """A service began a step."""
        self._began[service] = time.monotonic()
        if self._is_terminal:
            self._open().began(service, str(step))

    def sent(self, service: str, count: int, /) -> None:
        """So many more bytes are on their way."""
        if self._bars is not None:
            self._bars.sent(service, count)

    def ended(
        self, service: str, step: Step, /, *, failed: bool, cached: bool = False, interrupted: bool = False
    ) -> None:
        """A step ended; the word is that of the table, which follows."""
        done = "interrupted" if interrupted else format_done(step, failed=failed, cached=cached)
        if self._bars is not None:
            self._bars.ended(service, done, failed=failed or interrupted)
        elif self._is_terminal:
            self._found.append((service, step, failed))
        elif failed or interrupted or step is not Step.EXPORT:
            now = time.monotonic()
            click.echo(f"{service}: {done} after {now - self._began.get(service, now):.2f} s", err=True)

    def _open(self) -> "BuildBars":
        if self._bars is None:
            # rich takes as long to import as a build takes that finds its work done.
            from towpath.cli.buildbars import BuildBars  # noqa: PLC0415

            self._bars = BuildBars(self._services)
            for service, step, failed in self._found:
                self._bars.ended(service, format_done(step, failed=failed, cached=not failed), failed=failed)
        return self._bars


def format_done(step: Step, *, failed: bool, cached: bool) -> str:
    """What a step has come to, in a word."""
    return "failed" if failed else "cached" if cached else DONE[step]
