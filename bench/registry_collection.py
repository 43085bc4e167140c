"""Two hundred clients pull one image of 100 MB, without and with garbage being collected: who waits, and how long?

The registry is a process of its own (this module run as a program) that holds the image and ten thousand that nothing
needs, written into its directory beforehand; taking them away lasts longer than the pulls. A request is late by
the time until its answer begins; a stall is the longest time without a byte inside of an answer.
"""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.numbers import Table, format_seconds, percentile
from bench.registry_client import MANIFEST, Payload
from towpath.http.credentials import SecretChecker, hash_secret
from towpath.http.pouring import Pieces
from towpath.http.server import Listener
from towpath.oci.digest import Digest
from towpath.registry.accounts import Account, Accounts, Grant, StoredSecret
from towpath.registry.app import create_registry_app
from towpath.registry.keeper.evidence import NoEvidence
from towpath.registry.keeper.policy import Policy
from towpath.registry.keeper.usage import count_usage
from towpath.registry.service import Registry
from towpath.registry.storage.schema import open_database

CLIENTS = 200
LAYERS = 5
LAYER_BYTES = 20 * 1024 * 1024
GARBAGE = 10_000
GARBAGE_BYTES = 1000
REPOSITORY = "bench/image"
SECRET = "bench-secret"  # noqa: S105 - of a registry that lives for a minute on loopback
AUTHORIZATION = "Basic " + base64.b64encode(f"bench:{SECRET}".encode()).decode()
PIECE_BYTES = 256 * 1024


@dataclass
class Pulls:
    """What the clients saw: the delay of each request, the longest stall of each answer, and the time of all."""

    delays: list[float] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    seconds: float = 0.0


def run() -> str:
    """Measure; the section."""
    with tempfile.TemporaryDirectory(prefix="bench-collection-", ignore_cleanup_errors=True) as directory:
        payload = make_payload()
        with _serve(Path(directory)) as (port, child):
            alone = asyncio.run(pull_all(port, payload))
            _order(child, "collect")
            beside = asyncio.run(pull_all(port, payload))
            collected = _order(child, "stop")
    return format_section(alone, beside, collected)


def make_payload() -> Payload:
    """The image, the same at every call."""
    return Payload.of(tuple(bytes([number]) * LAYER_BYTES for number in range(LAYERS)), name="large")


def format_section(alone: Pulls, beside: Pulls, collected: dict[str, Any]) -> str:
    """The table, and what was collected meanwhile."""

    def row(name: str, pick: str, share: float) -> tuple[str, str, str]:
        first, second = (format_seconds(percentile(getattr(pulls, pick), share)) for pulls in (alone, beside))
        return name, first, second

    table = Table(
        ("200 clients, 100 MB each", "nothing else", "while collecting"),
        (
            row("an answer begins after, median", "delays", 0.5),
            row("99 of 100", "delays", 0.99),
            row("**slowest request**", "delays", 1.0),
            row("longest stall inside an answer", "stalls", 1.0),
            ("all pulls", format_seconds(alone.seconds), format_seconds(beside.seconds)),
        ),
    )
    late = max(0.0, max(beside.delays) - max(alone.delays))
    return (
        f"{table.format()}\n\n{collected['manifests']} of {GARBAGE} images that nothing needs were removed meanwhile."
        f" The slowest of {len(beside.delays)} requests was {format_seconds(late)} later for it. Every pull was whole;"
        f" {collected['damaged']} of the contents are damaged."
    )


# --- the clients


async def pull_all(port: int, payload: Payload) -> Pulls:
    """All clients at once."""
    pulls = Pulls()
    started = time.perf_counter()
    await asyncio.gather(*(_pull(port, payload, pulls) for _ in range(CLIENTS)))
    pulls.seconds = time.perf_counter() - started
    return pulls


async def _pull(port: int, payload: Payload, pulls: Pulls) -> None:
    with socket.socket() as connection:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        await _ask(connection, f"manifests/{Digest.of(payload.manifest)}", len(payload.manifest), pulls)
        for digest, content in payload.blobs:
            await _ask(connection, f"blobs/{digest}", len(content), pulls)


async def _ask(connection: socket.socket, path: str, size: int, pulls: Pulls) -> None:
    """One request on a kept connection; an answer of another length or status ends the bench."""
    loop = asyncio.get_running_loop()
    host, port = connection.getpeername()
    lines = f"GET /v2/{REPOSITORY}/{path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {AUTHORIZATION}\r\n\r\n"
    asked = last = time.perf_counter()
    await loop.sock_sendall(connection, lines.encode())
    buffer, head, arrived, stall = memoryview(bytearray(PIECE_BYTES)), b"", -1, 0.0
    while arrived < size:
        count = await loop.sock_recv_into(connection, buffer)
        if not count:
            raise RuntimeError(f"{path} ended after {arrived} of {size} bytes")
        now = time.perf_counter()
        if arrived < 0:
            if not head:
                pulls.delays.append(now - asked)
            head += bytes(buffer[:count])
            if b"\r\n\r\n" in head:
                before, _, rest = head.partition(b"\r\n\r\n")
                if not before.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"{path} was answered with {before[:80]!r}")
                arrived = len(rest)
        else:
            stall = max(stall, now - last)
            arrived += count
        last = now
    pulls.stalls.append(stall)


# --- the server


@contextmanager
def _serve(root: Path) -> "Iterator[tuple[int, subprocess.Popen[bytes]]]":
    argv = [sys.executable, "-m", "bench.registry_collection", str(root / "registry")]
    here = Path(__file__).parent.parent
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=here) as child:
        try:
            yield _answer(child)["port"], child
        finally:
            child.kill()


def _order(child: "subprocess.Popen[bytes]", word: str) -> dict[str, Any]:
    if child.stdin is None:
        raise RuntimeError("the registry has no pipe")
    child.stdin.write(word.encode() + b"\n")
    child.stdin.flush()
    return _answer(child)


def _answer(child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    if child.stdout is None:
        raise RuntimeError("the registry has no pipe")
    found: dict[str, Any] = json.loads(child.stdout.readline())
    return found


def write_garbage(root: Path, *, count: int = GARBAGE) -> None:
    """Images without a tag, each with a blob of its own, as if they had been pushed long ago."""
    root.mkdir()
    database = open_database(root / "catalog.db", now=0.0)
    database.execute("BEGIN")
    database.execute("INSERT INTO repositories VALUES (1, 'bench/garbage')")
    for number in range(count):
        content = b"%d " % number + os.urandom(GARBAGE_BYTES)
        blob = Digest.of(content)
        path = root / "blobs" / blob.algorithm / blob.hex[:2] / blob.hex
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        raw = Payload.of((content,), name="garbage").manifest
        values = {
            "blob": str(blob),
            "size": len(content),
            "manifest": str(Digest.of(raw)),
            "raw": raw,
            "type": MANIFEST,
        }
        database.execute("INSERT INTO blobs VALUES (:blob, :size)", values)
        database.execute("INSERT INTO links VALUES (1, :blob, 0)", values)
        database.execute("INSERT INTO manifests VALUES (1, :manifest, :type, :raw, '', '', '{}', 0)", values)
        database.execute("INSERT INTO targets VALUES (1, :blob, :manifest)", values)
    database.execute("COMMIT")
    database.close()


class Server:
    """The registry, and what makes and collects garbage in it."""

    def __init__(self, root: Path, *, garbage: int = GARBAGE) -> None:
        self.registry = Registry(root)
        self._garbage = garbage

    async def fill(self) -> None:
        """The image, under a tag."""
        payload = make_payload()
        for _, content in payload.blobs:
            await self._push_blob(REPOSITORY, content)
        await self.registry.manifests.put(
            REPOSITORY, payload.manifest, media_type=MANIFEST, digest=None, tags=["latest"]
        )

    async def collect_for_ever(self) -> None:
        """Collect, and again: planning goes on when there is nothing left to remove."""
        while True:
            await self.registry.collector.collect(NoEvidence(), Policy(settling_seconds=0.0))
            await asyncio.sleep(0.01)

    async def report(self) -> dict[str, int]:
        """What is gone, and what is damaged."""
        usage = count_usage(await self.registry.collector.survey())
        left = sum(one.manifests for one in usage.repositories if one.repository != REPOSITORY)
        return {"manifests": self._garbage - left, "damaged": len((await self.registry.scrub.run()).damages)}

    async def _push_blob(self, repository: str, content: bytes) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        upload = await self.registry.blobs.start_upload(repository)
        async with upload.lock:
            await self.registry.blobs.append(upload, Pieces(pieces()))
            await self.registry.blobs.finish_upload(repository, upload, Digest.of(content))


async def _main(root: Path) -> None:
    write_garbage(root)
    server = Server(root)
    await server.registry.start()
    stored = StoredSecret("1", hash_secret(SECRET, salt=b"bench" * 4, iterations=1))
    accounts = Accounts([Account("bench", (stored,), (Grant("*"),))], checker=SecretChecker(key=b"bench" * 8))
    listener = Listener(create_registry_app(server.registry, accounts))
    await server.fill()
    await listener.start()
    _tell({"port": listener.port})
    await asyncio.to_thread(sys.stdin.readline)
    collecting = asyncio.create_task(server.collect_for_ever())
    _tell({})
    await asyncio.to_thread(sys.stdin.readline)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    _tell(await server.report())
    await asyncio.to_thread(sys.stdin.readline)


def _tell(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
