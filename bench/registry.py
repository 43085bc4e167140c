"""The registry beside Debian's docker-registry: the same raw client and the same bytes, in turns, in one run.

    python -m bench registry

Each round starts both servers anew on empty directories. Ours asks for a token at every request, and syncs every blob
before it acknowledges; the other one does neither.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.numbers import Table, format_mebibytes, format_seconds, median
from bench.registry_client import Payload, RawClient
from bench.registry_servers import (
    IMAGES,
    LARGE,
    PARALLEL,
    SERIAL,
    Running,
    has_docker_registry,
    run_docker_registry,
    run_towpath,
)

ROUNDS = 7
LAYERS = 3
LAYER_BYTES = 20_000_000
SMALL_BYTES = 5_000_000
MANIFEST_GETS = 1000
CONNECTIONS = 4

Act = Callable[[RawClient, str, Payload], None]
Start = Callable[[Path], AbstractContextManager[Running]]
OURS, THEIRS = "Towpath", "docker-registry"
MEMORY = "peak memory"
# What each row is to reach: a share of the other's figure, or a figure of its own.
GOALS = {
    "push 60 MB in 3 layers": "0.5 x",
    "push 50 images of 5 MB, 1 connection": "0.5 x",
    "push 50 images of 5 MB, 4 connections": "0.5 x",
    "pull 60 MB in 3 layers": "0.5 x",
    "pull 50 images of 5 MB, 1 connection": "0.5 x",
    "pull 50 images of 5 MB, 4 connections": "0.5 x",
    "1000 manifest GETs on a kept connection": "0.25 x",
    "start to first answer": "150 ms",
    MEMORY: "45 MiB",
}


@dataclass(frozen=True)
class Work:
    """The images, made once: random bytes, so that nothing is compressed or found again."""

    large: Payload = field(default_factory=lambda: _image(LAYERS, LAYER_BYTES, "large"))
    serial: tuple[Payload, ...] = field(default_factory=lambda: _images("serial"))
    parallel: tuple[Payload, ...] = field(default_factory=lambda: _images("parallel"))

    def run(self, server: Running) -> Iterator[tuple[str, float]]:
        """All of it once on a fresh server: each row's name and its seconds, or bytes."""
        large, serial, parallel = ((LARGE,), (self.large,)), (SERIAL, self.serial), (PARALLEL, self.parallel)
        push, pull = RawClient.push, RawClient.pull
        yield "start to first answer", server.start_seconds
        yield "push 60 MB in 3 layers", _timed(server, push, *large)
        yield "push 50 images of 5 MB, 1 connection", _timed(server, push, *serial)
        yield "push 50 images of 5 MB, 4 connections", _timed(server, push, *parallel, connections=CONNECTIONS)
        yield "pull 60 MB in 3 layers", _timed(server, pull, *large)
        yield "pull 50 images of 5 MB, 1 connection", _timed(server, pull, *serial)
        yield "pull 50 images of 5 MB, 4 connections", _timed(server, pull, *parallel, connections=CONNECTIONS)
        yield "1000 manifest GETs on a kept connection", _timed_gets(server)
        yield MEMORY, server.peak_bytes()


def run() -> str:
    """Measure; the section of the document."""
    servers: dict[str, Start] = {OURS: run_towpath}
    if has_docker_registry():
        servers[THEIRS] = run_docker_registry
    samples: dict[str, dict[str, list[float]]] = {name: {server: [] for server in servers} for name in GOALS}
    work = Work()
    for _ in range(ROUNDS):
        for name, start in servers.items():
            with (
                tempfile.TemporaryDirectory(prefix="bench-registry-", ignore_cleanup_errors=True) as directory,
                start(Path(directory) / "registry") as server,
            ):
                for row, value in work.run(server):
                    samples[row][name].append(value)
    return f"{format_samples(samples)}\n\nMedians of {ROUNDS} rounds."


def format_samples(samples: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The table: medians side by side, their ratio, and what was to be reached."""
    rows = []
    for name, goal in GOALS.items():
        show = format_mebibytes if name == MEMORY else format_seconds
        ours, theirs = median(samples[name][OURS]), samples[name].get(THEIRS, [])
        compared = (show(median(theirs)), f"{ours / median(theirs):.2f} x") if theirs else ("", "")
        rows.append((name, show(ours), *compared, goal))
    return Table(("work", OURS, THEIRS, "ratio", "to reach"), tuple(rows)).format()


def _timed(
    server: Running, act: Act, repositories: tuple[str, ...], images: tuple[Payload, ...], *, connections: int = 1
) -> float:
    """Seconds until every image was pushed or pulled, shared out over so many connections."""
    failures: list[BaseException] = []

    def work(first: int) -> None:
        client = RawClient(server.address, server.authorizations)
        try:
            for number in range(first, len(images), connections):
                act(client, repositories[number], images[number])
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that waits
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(first,)) for first in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - started


def _timed_gets(server: Running) -> float:
    client = RawClient(server.address, server.authorizations)
    client.read_manifest(LARGE)  # the connection is there before the clock runs
    started = time.perf_counter()
    for _ in range(MANIFEST_GETS):
        client.read_manifest(LARGE)
    seconds = time.perf_counter() - started
    client.close()
    return seconds


def _images(name: str) -> tuple[Payload, ...]:
    return tuple(_image(1, SMALL_BYTES, f"{name}{number}") for number in range(IMAGES))


def _image(layers: int, size: int, name: str) -> Payload:
    return Payload.of(tuple(os.urandom(size) for _ in range(layers)), name=name)
