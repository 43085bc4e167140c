"""A bar for each service that is built, on a terminal. When they are shown: `buildprogress`."""

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from towpath.amounts import format_size


class BuildBars:
    """The bars, from the first moment until `stop`."""

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
        self._sent = dict.fromkeys(services, 0)
        self._bars.start()

    def stop(self) -> None:
        """Take the bars away."""
        self._bars.stop()

    def print(self, line: str) -> None:
        """Show a line above the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def began(self, service: str, step: str) -> None:
        """A service began a step."""
        self._bars.start_task(self._tasks[service])
        # How much there is to do is not known before it is done: the bar moves, and is full when the step has ended.
        self._bars.update(self._tasks[service], step=step, total=None, completed=0)

    def sent(self, service: str, count: int) -> None:
        """So many more bytes are on their way."""
        self._sent[service] += count
        self._bars.update(self._tasks[service], sent=f"{format_size(self._sent[service])} sent")

    def ended(self, service: str, done: str, *, failed: bool) -> None:
        """A step ended."""
        self._bars.update(self._tasks[service], step=done, total=1, completed=0 if failed else 1)
