"""How far a build is: a bar for each service on a terminal, a line for each step elsewhere.

On the error output, so that a pipe gets the result alone.
"""

import time
from collections.abc import Callable
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from towpath.amounts import format_size
from towpath.ci.batch import Step

_DONE = {Step.EXPORT: "exported", Step.BUILD: "built", Step.PUSH: "pushed"}


class BuildBars:
    """`ci.batch.Watcher` for people."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._console = Console(stderr=True)
        width = max(map(len, services), default=0)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn(f"{{task.description:<{width}}}"),
            TextColumn("{task.fields[step]:<9}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[sent]}"),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {
            name: self._bars.add_task(name, total=None, start=False, step="waiting", sent="") for name in services
        }
        self._began: dict[str, float] = {}
        self._sent = dict.fromkeys(services, 0)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def lines_of(self, service: str) -> Callable[[str], None]:
        """Shows what an engine prints for a service, above the bars."""
        return lambda line: self._console.print(f"{service} | {line}", markup=False, highlight=False, soft_wrap=True)

    def began(self, service: str, step: Step, /) -> None:
        """A service began a step."""
        self._began[service] = time.monotonic()
        self._bars.start_task(self._tasks[service])
        # How much there is to do is not known before it is done: the bar moves, and is full when the step has ended.
        self._bars.update(self._tasks[service], step=str(step), total=None, completed=0)

    def sent(self, service: str, count: int, /) -> None:
        """So many more bytes are on their way."""
        self._sent[service] += count
        self._bars.update(self._tasks[service], sent=f"{format_size(self._sent[service])} sent")

    def ended(self, service: str, step: Step, /, *, failed: bool, cached: bool = False) -> None:
        """A step ended; the word is that of the table, which follows."""
        done = "failed" if failed else "cached" if cached else _DONE[step]
        self._bars.update(self._tasks[service], step=done, total=1, completed=0 if failed else 1)
        if self._bars.disable and (failed or step is not Step.EXPORT):
            click.echo(f"{service}: {done} after {time.monotonic() - self._began[service]:.2f} s", err=True)
