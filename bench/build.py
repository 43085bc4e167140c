"""The builder on a 10 MB service of 500 files, beside buildah on the same directory in the same run.

    python -m bench.build

Ours twice: the builder's work in a running platform (context, layer and image in the cache), and the whole command
`towpath build`, which pays for starting Python and for asking Git what changed. For the command, cold is a commit that
is exported and built, the changed file is in the work tree, and nothing changed is that file committed, and built
before. The base `host` is made before; its own time and size are a row. buildah: the same files on an empty base, into
its own store; `--layers` lets it recognise what did not change. Rounds alternate, so that whatever else the machine
does meets all of them. Each number is a median of seven; the compared program is left out where it is not installed.
"""

import asyncio
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.numbers import format_seconds
from towpath.aio.clock import SystemClock
from towpath.blueprint.model import Service
from towpath.build.builder import Builder
from towpath.build.host_base import host_platform
from towpath.build.image import BuildRequest
from towpath.oci.keyring import Keyring
from towpath.ociclient.client import RegistryClient

FILES = 500
FILE_BYTES = 20_000
ROUNDS = 7
# Of buildah's time: cold, one file changed, nothing changed.
GOALS = (0.1, 0.1, 0.05)
# Longer than the time for which a fresh file's metadata is not trusted (`build.context.RACY_SECONDS`).
SETTLE_SECONDS = 2.5
WORDS = (
    "alpha",
    "beta",
    "gamma",
    "delta",
    "return",
    "import",
    "value",
    "self",
    "0x1f",
    "None",
    "\n    ",
    "(",
    ")",
    " = ",
)


@dataclass(frozen=True)
class Row:
    """One line of the table; times in seconds, NaN where not measured; the goal in times of buildah's."""

    case: str
    ours: float
    command: float
    buildah: float
    note: str = ""
    goal: float = float("nan")


def write_service(directory: Path, *, seed: int = 1) -> None:
    """500 semi-compressible text files, 10 MB together, and a main.py."""
    draw = random.Random(seed)  # noqa: S311 - the same text every time
    for number in range(FILES):
        path = directory / f"package{number % 20}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(draw.choices(WORDS, k=FILE_BYTES // 4)) + str(draw.random())
        path.write_text(text[:FILE_BYTES].ljust(FILE_BYTES, "#"))
    (directory / "main.py").write_text("print('hello')\n")


def request(context: Path) -> BuildRequest:
    """The build order."""
    return BuildRequest(
        service=Service("bench", "services/bench"),
        context=context,
        commit="0123456789abcdef0123456789abcdef01234567",
        tree_id="",
        source_url="",
        committed_at=1_700_000_000.0,
        tag="sha-0123456",
        platform=host_platform(),
    )


async def timed(step: Callable[[], Awaitable[object]]) -> float:
    """Seconds a step takes."""
    started = time.perf_counter()
    await step()
    return time.perf_counter() - started


class Buildah:
    """buildah with a store of its own on the same directory."""

    def __init__(self, context: Path, store: Path) -> None:
        self._context = context
        self._store = store
        self._file = store / "Containerfile"
        store.mkdir()
        self._file.write_text('FROM scratch\nCOPY . /app/\nENV A=b\nENTRYPOINT ["python3", "/app/main.py"]\n')

    @property
    def installed(self) -> bool:
        """Whether there is a buildah to compare with."""
        return shutil.which("buildah") is not None

    def build(self, *, cached: bool) -> float:
        """Seconds for one build; NaN without buildah."""
        if not self.installed:
            return float("nan")
        stores = ["--root", str(self._store / "root"), "--runroot", str(self._store / "run")]
        layers = ["--layers"] if cached else ["--layers", "--no-cache"]
        argv = [
            "buildah",
            *stores,
            "build",
            *layers,
            "--timestamp",
            "0",
            "-q",
            "-f",
            str(self._file),
            str(self._context),
        ]
        started = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True)
        return time.perf_counter() - started


class Command:
    """`towpath build` on a repository of its own, as a user types it."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self.context = repository / "services" / "bench"
        write_service(self.context)
        (repository / "towpath.yaml").write_text("name: bench\n")
        (repository / ".gitignore").write_text(".towpath/\n")
        # What is installed has its byte code, and so has this from the first start on.
        self._environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._git("init", "--quiet")
        self.commit()

    def commit(self) -> None:
        """Commit everything."""
        self._git("add", "--all")
        self._git(
            "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "--message", "bench"
        )

    def look(self) -> None:
        """As a person, or a shell's prompt, does between two builds: from then on git trusts the times of the files."""
        self._git("status")

    def forget(self, base: Path) -> None:
        """Leave only the base in the cache."""
        cache = self._repository / ".towpath" / "build"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(base, cache)

    def build(self) -> float:
        """Seconds for one build."""
        started = time.perf_counter()
        argv = [sys.executable, "-m", "towpath", "build", "-C", str(self._repository)]
        subprocess.run(argv, check=True, capture_output=True, env=self._environ)
        return time.perf_counter() - started

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self._repository, check=True, capture_output=True)


@dataclass
class Samples:
    """The rounds of one case."""

    ours: list[float] = field(default_factory=list)
    command: list[float] = field(default_factory=list)
    buildah: list[float] = field(default_factory=list)

    def row(self, case: str, note: str = "", *, goal: float) -> Row:
        """Their medians."""
        median = statistics.median
        return Row(case, median(self.ours), median(self.command), median(self.buildah), note, goal)


async def measure(root: Path) -> list[Row]:
    """All rows."""
    context = root / "service"
    write_service(context)
    registry = RegistryClient(keyring=Keyring(), clock=SystemClock())
    try:
        return await _measure(root, context, Buildah(context, root / "b"), Command(root / "repository"), registry)
    finally:
        await registry.close()


async def _measure(
    root: Path, context: Path, buildah: Buildah, command: Command, registry: RegistryClient
) -> list[Row]:
    nothing = float("nan")
    base = root / "base"
    host = await timed(lambda: _builder(base, registry).prepare(host_platform()))
    cold, changed, same = Samples(), Samples(), Samples()
    command.build()
    await asyncio.sleep(SETTLE_SECONDS)
    command.look()
    for number in range(ROUNDS):
        shutil.copytree(base, root / f"cold{number}")
        fresh = _builder(root / f"cold{number}", registry)
        await fresh.prepare(host_platform())
        cold.ours.append(await timed(lambda fresh=fresh: fresh.build(request(context))))  # type: ignore[misc]
        cold.buildah.append(buildah.build(cached=False))
        command.forget(base)
        cold.command.append(command.build())
    builder = _builder(root / "cold0", registry)
    image = await builder.build(request(context))
    buildah.build(cached=True)
    for number in range(ROUNDS):
        for directory in (context, command.context):
            (directory / "main.py").write_text(f"print({number})\n")
        changed.ours.append(await timed(lambda: builder.build(request(context))))
        changed.buildah.append(buildah.build(cached=True))
        changed.command.append(command.build())
    command.commit()
    await asyncio.sleep(SETTLE_SECONDS)
    command.look()
    await builder.build(request(context))
    command.build()
    for _ in range(ROUNDS):
        same.ours.append(await timed(lambda: builder.build(request(context))))
        same.buildah.append(buildah.build(cached=True))
        same.command.append(command.build())
    sizes = [layer.descriptor.size / 1e6 for layer in image.layers]
    return [
        Row("base `host`, made once", host, nothing, nothing, f"{sizes[0]:.1f} MB compressed"),
        cold.row("10 MB, 500 files, cold", f"{sizes[-1]:.1f} MB compressed", goal=GOALS[0]),
        changed.row("one file changed", goal=GOALS[1]),
        same.row("nothing changed", goal=GOALS[2]),
    ]


def _builder(cache: Path, registry: RegistryClient) -> Builder:
    return Builder(cache=cache, registry=registry, clock=SystemClock())


def format_table(rows: list[Row]) -> str:
    """The rows as a Markdown table; a ratio that reaches its goal is bold."""
    heads = [
        "build",
        "builder",
        "`towpath build`",
        "buildah",
        "goal",
        "builder / buildah",
        "`towpath build` / buildah",
        "",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---|--:|--:|--:|--:|--:|--:|---|"]
    for row in rows:
        goal = "" if math.isnan(row.goal) else f"{row.goal:g} x"
        times = (_shown(row.ours), _shown(row.command), _shown(row.buildah))
        ratios = (_ratio(row.ours, row), _ratio(row.command, row))
        lines.append(f"| {' | '.join((row.case, *times, goal, *ratios, row.note))} |")
    return "\n".join(lines)


def _ratio(seconds: float, row: Row) -> str:
    ratio = seconds / row.buildah
    if math.isnan(ratio):
        return ""
    return f"**{ratio:.3f} x**" if ratio <= row.goal else f"{ratio:.3f} x"


def _shown(seconds: float) -> str:
    return "" if math.isnan(seconds) else format_seconds(seconds)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        print(format_table(asyncio.run(measure(Path(directory)))))


if __name__ == "__main__":
    main()
