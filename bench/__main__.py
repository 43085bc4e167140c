"""`python -m bench [NAME...]`: measure, print, and write the sections of `docs/performance.md`.

Names: push, startup, idle, build, registry, collection; all without one. `--print` leaves the document alone.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import build, idle, push, registry, registry_collection, startup
from bench.document import fill_sections
from bench.machine import describe_machine

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"


def _build() -> str:
    with tempfile.TemporaryDirectory(prefix="bench-build-", ignore_cleanup_errors=True) as directory:
        return build.format_table(asyncio.run(build.measure(Path(directory))))


BENCHES: dict[str, Callable[[], str]] = {
    "push": push.run,
    "startup": startup.run,
    "idle": idle.run,
    "build": _build,
    "registry": registry.run,
    "collection": registry_collection.run,
}


def main(arguments: list[str]) -> int:
    """Run the named benches; the exit code."""
    names = [argument for argument in arguments if argument != "--print"] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"bench: there is no {unknown[0]}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    sections = {"machine": describe_machine()}
    for name in names:
        started = time.monotonic()
        sections[name] = BENCHES[name]()
        print(f"## {name} ({time.monotonic() - started:.0f} s)\n\n{sections[name]}\n", flush=True)
    if "--print" not in arguments:
        DOCUMENT.write_text(fill_sections(DOCUMENT.read_text(), sections))
    return 0


sys.exit(main(sys.argv[1:]))
