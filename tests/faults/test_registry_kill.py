"""`kill -9` of a registry at arbitrary bytes of uploads, manifests, tag moves and collections, two hundred times.

One directory bears all of them. After each restart: what was acknowledged is there and is what its digest says, every
tag names an image that can be pulled whole, an upload that survived goes on where the server says, and no file lies
about that the catalog does not know, or that is of no upload. `TOWPATH_FAULTS_SEED` chooses other moments,
`TOWPATH_FAULTS_KILLS` how many.
"""

import asyncio
import contextlib
import http.client
import json
import os
import random
import socket
import sqlite3
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from starlette.types import Receive, Scope, Send

from fakes.registry import password, serve_registry
from fakes.registry_nursery import KillableRegistry, Nursery, run_nursery
from towpath.http.direct import find_direct
from towpath.http.server import Listener
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, Manifest, format_manifest

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("TOWPATH_FAULTS_SEED", "4"))
KILLS = int(os.environ.get("TOWPATH_FAULTS_KILLS", "200"))
AUTHORIZATION = "Basic " + b64encode(f"admin:{password('admin')}".encode()).decode()
DAY = 86_400.0
REPOSITORY = "lab/app"
# One that comes as a message, and two that a worker reads from the socket.
BODY_SIZES = [1000, 2_500_000, 7_000_000]
# Far above what one answer takes on a busy machine.
TIMEOUT_SECONDS = 60.0


@dataclass
class Image:
    """What a client pushes: two blobs, and the manifest that names them."""

    config: bytes
    layer: bytes
    raw: bytes

    @classmethod
    def make(cls, chance: random.Random) -> "Image":
        """One that was never there; its size is from some bytes to some pieces of the registry's work."""
        config = b'{"made":%d}' % chance.getrandbits(64)
        layer = chance.randbytes(chance.choice([10, 5_000, 300_000, 2_200_000]))
        blobs = [Descriptor(media.OCI_LAYER, Digest.of(content), len(content)) for content in (config, layer)]
        return cls(config, layer, format_manifest(Manifest(blobs[0], (blobs[1],))))


@dataclass
class Told:
    """What the registry has acknowledged: blobs and tags; `attempted` tags may be either way."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    attempted: dict[str, set[str]] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    sessions: dict[str, bytes] = field(default_factory=dict)


class Client:
    """Raw HTTP to one registry."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self._connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, str]:
        """Status, body and location."""
        given = {"Authorization": AUTHORIZATION, **{name.replace("_", "-"): text for name, text in headers.items()}}
        self._connection.request(method, path, body, given)
        response = self._connection.getresponse()
        return response.status, response.read(), response.headers.get("Location", "")

    def cut(self, method: str, path: str, body: bytes, *, at: float, **headers: str) -> None:
        """Send the first part of a request, by its share of all bytes."""
        lines = [f"{method} {path} HTTP/1.1", "Host: registry", f"Authorization: {AUTHORIZATION}"]
        lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
        whole = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
        with socket.create_connection(self.address, timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(whole[: int(len(whole) * at)])

    def push_blob(self, content: bytes, told: Told) -> None:
        """Push a blob in three requests."""
        digest = str(Digest.of(content))
        status, _, location = self.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        assert status == 202
        told.sessions[location] = content
        assert self.ask("PATCH", location, content)[0] == 202
        assert self.ask("PUT", f"{location}?digest={digest}")[0] == 201
        del told.sessions[location]
        told.blobs[digest] = content

    def push(self, image: Image, tag: str, told: Told) -> None:
        """Push an image and set a tag."""
        self.push_blob(image.config, told)
        self.push_blob(image.layer, told)
        self.tag(image, tag, told)

    def tag(self, image: Image, tag: str, told: Told) -> None:
        """Set a tag; what it may name is noted before, what it names after."""
        digest = str(Digest.of(image.raw))
        told.images[digest] = image
        told.attempted.setdefault(tag, set()).add(digest)
        status, text, _ = self.ask(
            "PUT", f"/v2/{REPOSITORY}/manifests/{tag}", image.raw, Content_Type=media.OCI_MANIFEST
        )
        assert status == 201, text
        told.tags[tag] = digest
        told.attempted[tag] = {digest}


@dataclass
class Round:
    """One life of a registry, and its end."""

    client: Client
    told: Told
    chance: random.Random

    def patch(self) -> None:
        """Kill in the middle of a PATCH."""
        content = self.chance.randbytes(self.chance.choice(BODY_SIZES))
        _, _, location = self.client.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        self.told.sessions[location] = content
        self.client.cut("PATCH", location, content, at=self.chance.random())

    def put(self) -> None:
        """Kill in the middle of the PUT that ends an upload, with some of the content in it."""
        content = self.chance.randbytes(self.chance.choice(BODY_SIZES))
        _, _, location = self.client.ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        self.told.sessions[location] = content
        half = self.chance.randrange(len(content))
        self.client.ask("PATCH", location, content[:half])
        target = f"{location}?digest={Digest.of(content)}"
        self.client.cut("PUT", target, content[half:], at=1 - self.chance.random() ** 2)

    def manifest(self) -> None:
        """Kill in the middle of a manifest's PUT."""
        image, tag = Image.make(self.chance), f"v{self.chance.randrange(6)}"
        self.client.push_blob(image.config, self.told)
        self.client.push_blob(image.layer, self.told)
        digest = str(Digest.of(image.raw))
        self.told.images[digest] = image
        self.told.attempted.setdefault(tag, set()).add(digest)
        path = f"/v2/{REPOSITORY}/manifests/{tag}"
        self.client.cut("PUT", path, image.raw, at=1 - self.chance.random() ** 3, Content_Type=media.OCI_MANIFEST)

    def pushes(self) -> None:
        """Kill at any moment of pushes and tag moves, one after the other."""
        while True:
            self.client.push(Image.make(self.chance), f"v{self.chance.randrange(6)}", self.told)

    def moves(self) -> None:
        """Kill at any moment of tags that move to and fro."""
        images = [Image.make(self.chance) for _ in range(2)]
        for image in images:
            self.client.push(image, "moving", self.told)
        while True:
            self.client.tag(self.chance.choice(images), "moving", self.told)

    def deletions(self) -> None:
        """Kill at any moment of pushes and deletions."""
        while True:
            image = Image.make(self.chance)
            self.client.push(image, "doomed", self.told)
            digest = self.told.tags.pop("doomed")
            self.told.attempted.pop("doomed")
            assert self.client.ask("DELETE", f"/v2/{REPOSITORY}/manifests/{digest}")[0] == 202


ACTS = ("patch", "put", "manifest", "pushes", "moves", "deletions")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with run_nursery() as running:
        yield running


def live_and_die(registry: KillableRegistry, act: str, told: Told, chance: random.Random) -> None:
    """Do something until the registry is killed; what raises is the end of the connection."""
    endless = act in {"pushes", "moves", "deletions"}
    # The acts that end by themselves have chosen their byte; a moment later, so that some of it is worked on.
    delay = chance.uniform(0.0, 0.15) if endless else chance.choice([0.0, 0.0005, 0.002, 0.008, 0.02])
    killer = threading.Timer(delay, registry.kill)
    try:
        with Client(registry.port) as client:
            if endless:
                killer.start()
            getattr(Round(client, told, chance), act)()
        killer.start()
    except (OSError, http.client.HTTPException):
        pass
    finally:
        registry.kill()
        if killer.is_alive():
            killer.join()


def check_files(root: Path) -> None:
    """The catalog is well, and every file is one that it knows."""
    with contextlib.closing(sqlite3.connect(root / "catalog.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        known = {
            (digest.partition(":")[2], size) for digest, size in database.execute("SELECT digest, size FROM blobs")
        }
    found = {(path.name, path.stat().st_size) for path in (root / "blobs").rglob("*") if path.is_file()}
    assert found == known
    assert not (root / "damaged").exists()
    assert {path.name for path in root.iterdir()} <= {
        *("blobs", "uploads", "lock", "reserve", "catalog.db", "catalog.db-wal", "catalog.db-shm")
    }


def sessions_in(root: Path) -> set[str]:
    """The uploads that lie there: what a file's name ends with."""
    return {path.name.rpartition("-")[2] for path in (root / "uploads").iterdir()}


def check_told(client: Client, told: Told, tags: list[str]) -> None:
    """Tags name what was acknowledged, or what was being set when the registry died; whole in any case."""
    for tag in tags:
        status, raw, _ = client.ask("GET", f"/v2/{REPOSITORY}/manifests/{tag}")
        if status == 404 and tag not in told.tags:
            continue
        assert status == 200, (tag, status)
        digest = str(Digest.of(raw))
        allowed = told.attempted.get(tag, set()) | ({told.tags[tag]} if tag in told.tags else set())
        assert digest in allowed
        told.tags[tag], told.attempted[tag] = digest, {digest}
        image = told.images[digest]
        for content in (image.config, image.layer):
            answer = client.ask("GET", f"/v2/{REPOSITORY}/blobs/{Digest.of(content)}")
            assert (answer[0], answer[1] == content) == (200, True)


def check_sessions(client: Client, told: Told) -> None:
    """An upload is gone, ended, or goes on where the registry says."""
    for location, content in told.sessions.items():
        digest = Digest.of(content)
        with contextlib.closing(http.client.HTTPConnection(*client.address, timeout=TIMEOUT_SECONDS)) as connection:
            connection.request("GET", location, headers={"Authorization": AUTHORIZATION})
            response = connection.getresponse()
            response.read()
        if response.status == 204:
            arrived = int(response.headers["Range"].partition("-")[2])
            arrived = arrived + 1 if arrived else 0
            # `0-0` is one byte or none; what the PUT makes of it tells.
            status, _, _ = client.ask("PUT", f"{location}?digest={digest}", content[arrived:])
            assert status == 201 or (arrived == 0 and status == 400), status
        else:
            assert response.status == 404
    told.sessions.clear()


def test_no_kill_loses_what_was_acknowledged_or_leaves_a_file(nursery: Nursery, tmp_path: Path) -> None:
    root, told, chance = tmp_path / "registry", Told(), random.Random(SEED)  # noqa: S311 - repeatable on purpose
    strays: set[str] = set()  # begun, and the kill came before the client was told
    for number in range(KILLS):
        # Every third life collects; its clock is a day later, so that all that was before is old.
        collects = number % 3 == 2
        act = "pushes" if collects else chance.choice(ACTS)
        told.blobs.clear()
        registry = nursery.start(root, skew=number * DAY if collects else 0.0, collect=collects)
        if collects:
            assert sessions_in(root) == set(), f"kill {number}: a day later all uploads are purged"
            strays.clear()
        live_and_die(registry, act, told, chance)
        restarted = nursery.start(root)
        try:
            check_files(root)
            known = {location.rpartition("/")[2] for location in told.sessions}
            unknown = sessions_in(root) - known - strays
            assert len(unknown) <= 1, f"uploads that nobody began: {unknown}"
            strays |= unknown
            with Client(restarted.port) as client:
                for digest, content in () if collects else told.blobs.items():
                    answer = client.ask("GET", f"/v2/{REPOSITORY}/blobs/{digest}")
                    assert (answer[0], answer[1] == content) == (200, True)
                check_told(client, told, sorted({*told.tags, *told.attempted}))
                check_sessions(client, told)
            assert sessions_in(root) <= strays, "every upload has ended"
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, kill {number}, {act}, collecting {collects}: {error}") from error
        finally:
            restarted.kill()
    assert told.tags, "something was pushed"


def push_index(client: Client, tag: str, chance: random.Random) -> None:
    """An index of three images, which have no tags."""
    entries = []
    for image in (Image.make(chance) for _ in range(3)):
        client.push(image, str(Digest.of(image.raw)), Told())
        entries.append(Descriptor(media.OCI_MANIFEST, Digest.of(image.raw), len(image.raw)))
    raw = format_manifest(Index(tuple(entries)))
    status, text, _ = client.ask("PUT", f"/v2/{REPOSITORY}/manifests/{tag}", raw, Content_Type=media.OCI_INDEX)
    assert status == 201, text


def check_index(client: Client, index: dict[str, Any]) -> None:
    """Everything that an index leads to can be pulled."""
    for entry in index["manifests"]:
        status, raw, _ = client.ask("GET", f"/v2/{REPOSITORY}/manifests/{entry['digest']}")
        assert status == 200
        manifest = json.loads(raw)
        for blob in (manifest["config"], *manifest["layers"]):
            status, found, _ = client.ask("GET", f"/v2/{REPOSITORY}/blobs/{blob['digest']}")
            assert (status, str(Digest.of(found))) == (200, blob["digest"])


def test_an_index_is_never_without_its_entries_whatever_the_moment_of_a_kill(nursery: Nursery, tmp_path: Path) -> None:
    root, chance = tmp_path / "registry", random.Random(SEED)  # noqa: S311 - repeatable on purpose
    rounds = max(8, KILLS // 10)
    for number in range(rounds):
        registry = nursery.start(root)
        with Client(registry.port) as client:
            push_index(client, f"set{number}", chance)
            # Half of the indexes lose their tag, so that collections have something to take apart.
            if number % 2:
                assert client.ask("DELETE", f"/v2/{REPOSITORY}/manifests/set{number}")[0] == 202
        registry.kill()
        collecting = nursery.start(root, skew=(number + 1) * DAY, collect=True)
        time.sleep(chance.uniform(0.0, 0.05))  # the moment of the kill
        collecting.kill()
        restarted = nursery.start(root)
        check_files(root)
        assert sessions_in(root) == set()
        with contextlib.closing(sqlite3.connect(root / "catalog.db")) as database:
            rows = database.execute("SELECT content FROM manifests WHERE media_type = ?", (media.OCI_INDEX,)).fetchall()
        with Client(restarted.port) as client:
            for (content,) in rows:
                check_index(client, json.loads(content))
        restarted.kill()
    assert rows, "indexes with a tag stay"


async def test_the_bodies_that_are_cut_are_read_from_the_socket_by_a_worker(tmp_path: Path) -> None:
    received: dict[str, int] = {}

    async with serve_registry(tmp_path) as server:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await server.app(scope, receive, send)
            direct = find_direct(scope)
            assert direct is not None
            received[scope["method"]] = direct.received

        listener = Listener(app)
        await listener.start()

        def push(size: int) -> None:
            with Client(listener.port) as client:
                client.push_blob(bytes(size), Told())

        await asyncio.to_thread(push, BODY_SIZES[0])
        assert received == {"POST": 0, "PATCH": 0, "PUT": 0}
        for size in BODY_SIZES[1:]:
            await asyncio.to_thread(push, size)
            assert received["PATCH"] > size / 2
        await listener.close()
