"""The builder on a 10 MB service of 500 files, beside buildah on the same directory in the same run.

    python -m bench.build

Ours: context, layer and image in the cache, the base `host` made before (its own time and size are a row). buildah: the
same files on an empty base, into its own store; `--layers` lets it recognise what did not change. Each number is a
median; the compared program is left out where it is not installed.
"""

import asyncio
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

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
    """One line of the table; times in seconds, NaN where not measured."""

    case: str
    ours: float
    buildah: float
    note: str = ""


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


async def measure(root: Path) -> list[Row]:
    """All rows."""
    context = root / "service"
    write_service(context)
    buildah = Buildah(context, root / "b")
    registry = RegistryClient(keyring=Keyring(), clock=SystemClock())
    try:
        return await _measure(root, context, buildah, registry)
    finally:
        await registry.close()


async def _measure(root: Path, context: Path, buildah: Buildah, registry: RegistryClient) -> list[Row]:
    builder = Builder(cache=root / "warm", registry=registry, clock=SystemClock())
    host = await timed(lambda: builder.prepare(host_platform()))
    image = await builder.build(request(context))
    base = image.layers[0].descriptor.size
    cold = []
    for number in range(ROUNDS):
        fresh = Builder(cache=root / f"cold{number}", registry=registry, clock=SystemClock())
        await fresh.prepare(host_platform())
        cold.append(await timed(lambda fresh=fresh: fresh.build(request(context))))  # type: ignore[misc]
    changed, theirs_changed = [], []
    for number in range(ROUNDS):
        (context / "main.py").write_text(f"print({number})\n")
        changed.append(await timed(lambda: builder.build(request(context))))
        theirs_changed.append(buildah.build(cached=True))
    await asyncio.sleep(SETTLE_SECONDS)
    await builder.build(request(context))
    unchanged = [await timed(lambda: builder.build(request(context))) for _ in range(ROUNDS)]
    theirs_cold = [buildah.build(cached=False) for _ in range(3)]
    theirs_same = [buildah.build(cached=True) for _ in range(ROUNDS)]
    median = statistics.median
    nothing = float("nan")
    return [
        Row("base `host`, made once", host, nothing, f"{base / 1e6:.1f} MB compressed"),
        Row(
            "10 MB, 500 files, cold",
            median(cold),
            median(theirs_cold),
            f"{image.layers[-1].descriptor.size / 1e6:.1f} MB",
        ),
        Row("one file changed", median(changed), median(theirs_changed)),
        Row("nothing changed", median(unchanged), median(theirs_same)),
    ]


def format_table(rows: list[Row]) -> str:
    """The rows as a Markdown table, in milliseconds."""
    lines = ["| build | Towpath | buildah | |", "|---|---|---|---|"]
    for row in rows:
        theirs = "" if row.buildah != row.buildah else f"{row.buildah * 1000:.0f} ms"
        lines.append(f"| {row.case} | {row.ours * 1000:.1f} ms | {theirs} | {row.note} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        print(format_table(asyncio.run(measure(Path(directory)))))


if __name__ == "__main__":
    main()
