"""Large blobs over real sockets, the direct way: broken off, refused in the middle, damaged, removed, behind TLS."""

import asyncio
import resource
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.contents_app import content_of
from fakes.raw_http import RawAnswer, RawConnection, format_head
from fakes.registry import RegistryServer, password, prepare_accounts, serve_registry
from towpath.aio.clock import SystemClock
from towpath.http.certificates import ensure_certificates
from towpath.http.server import Listener
from towpath.oci.digest import Digest
from towpath.registry.app import create_registry_app
from towpath.registry.keeper.quota import Quota
from towpath.registry.storage.files import PIECE_BYTES
from towpath.registry.storage.uploads import Upload
from towpath.registry.traffic import Passage

AUTHORIZATION = "Basic " + b64encode(f"admin:{password('admin')}".encode()).decode()
UPLOADS = "/v2/lab/app/blobs/uploads/"
MIB = 1024 * 1024
CONTENT = content_of(5 * MIB + 3)
DIGEST = Digest.of(CONTENT)
BLOB = f"/v2/lab/app/blobs/{DIGEST}"
# More than the system keeps for a client that does not read.
UNREAD = content_of(32 * MIB)


class Client(RawConnection):
    """A connection that says who it is."""

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> RawAnswer:
        return await super().ask(method, path, body, authorization=AUTHORIZATION, **headers)

    async def begin(self, method: str, path: str, *, length: int, **headers: str) -> None:
        """Send a head alone."""
        await self.send(format_head(method, path, content_length=str(length), authorization=AUTHORIZATION, **headers))

    async def start(self) -> str:
        """Begin an upload; its location."""
        return (await self.ask("POST", UPLOADS)).headers["location"]

    async def push(self, content: bytes) -> str:
        """Push a blob as clients do; its path."""
        location, digest = await self.start(), Digest.of(content)
        assert (await self.ask("PATCH", location, content)).headers["range"] == f"0-{len(content) - 1}"
        assert (await self.ask("PUT", f"{location}?digest={digest}")).status == 201
        return f"/v2/lab/app/blobs/{digest}"

    async def is_usable(self) -> bool:
        """Whether the connection can be used for what comes next."""
        return (await self.ask("GET", "/v2/")).status == 200


@asynccontextmanager
async def talk(root: Path) -> AsyncIterator[tuple[RegistryServer, Client]]:
    async with serve_registry(root) as server, asyncio.timeout(100):
        client = await Client.open(server.listener.port)
        yield server, client
        await client.close()


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """For the block no file may become larger: the disk says that it is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def find_upload(server: RegistryServer, location: str) -> Upload:
    return await server.registry.blobs.get_upload("lab/app", location.rpartition("/")[2])


def stored(root: Path, digest: Digest = DIGEST) -> Path:
    return root / "blobs" / "sha256" / digest.hex[:2] / digest.hex


def uploads_in(root: Path) -> list[Path]:
    return list((root / "uploads").iterdir())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(reached: Callable[[], bool]) -> None:
    """Wait for what nothing tells of."""
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.001)


# --- uploads


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
async def test_a_large_blob_arrives_by_every_request_that_takes_one(tmp_path: Path, method: str) -> None:
    async with talk(tmp_path) as (_, client):
        location = UPLOADS if method == "POST" else await client.start()
        target = location if method == "PATCH" else f"{location}?digest={DIGEST}"
        assert (await client.ask(method, target, CONTENT)).status == (202 if method == "PATCH" else 201)
        if method == "PATCH":
            assert (await client.ask("PUT", f"{location}?digest={DIGEST}")).status == 201
        assert (await client.ask("GET", BLOB)).body == CONTENT
        assert stored(tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_large_blob_that_is_not_its_digest_is_refused(tmp_path: Path, algorithm: str) -> None:
    async with talk(tmp_path) as (_, client):
        digest = Digest.of(CONTENT, algorithm)
        answer = await client.ask("POST", f"{UPLOADS}?digest={digest}", CONTENT[:-1] + b"!")
        assert (answer.status, b"DIGEST_INVALID" in answer.body) == (400, True)
        assert uploads_in(tmp_path) == []
        assert (await client.ask("POST", f"{UPLOADS}?digest={digest}", CONTENT)).status == 201


@pytest.mark.parametrize("arrived", [0, 1, MIB, 5 * MIB])
@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_a_sender_that_goes_away_goes_on_where_it_is_told(tmp_path: Path, arrived: int, leave: str) -> None:
    async with talk(tmp_path) as (server, client):
        location = await client.start()
        other = await Client.open(server.listener.port)
        await other.begin("PATCH", location, length=len(CONTENT))
        await other.send(CONTENT[:arrived])
        upload = await find_upload(server, location)
        await until(upload.lock.locked)
        if leave == "abort":
            other.abort()
        await other.close()
        await until(lambda: not upload.lock.locked())
        # Nothing is lost that came before an orderly end.
        assert upload.offset <= arrived if leave == "abort" else upload.offset == arrived
        rest = CONTENT[upload.offset :]
        content_range = f"{upload.offset}-{len(CONTENT) - 1}"
        assert (await client.ask("PATCH", location, rest, content_range=content_range)).status == 202
        assert (await client.ask("PUT", f"{location}?digest={DIGEST}")).status == 201
        assert stored(tmp_path).read_bytes() == CONTENT


async def test_senders_that_go_away_leave_no_descriptor(tmp_path: Path) -> None:
    async with talk(tmp_path) as (server, client):
        await client.push(CONTENT)
        before = descriptors()
        for number in range(30):
            location = await client.start()
            other = await Client.open(server.listener.port)
            await other.begin("PATCH", location, length=len(CONTENT))
            await other.send(CONTENT[: number * 100_000])
            if number % 2:
                other.abort()
            await other.close()
        await until(lambda: descriptors() <= before)


async def test_a_full_disk_in_the_middle_of_a_body_is_told_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with talk(tmp_path) as (_, client):
        location = await client.start()
        with small_files(MIB):
            answer = await client.ask("PATCH", location, CONTENT)
            assert (answer.status, b"NoSpace" in answer.body) == (507, True)
            answer = await client.ask("POST", f"{UPLOADS}?digest={DIGEST}", CONTENT)
            assert answer.status == 507
        assert uploads_in(tmp_path) == []
        assert (await client.ask("PATCH", location, CONTENT)).status == 404
        assert (await client.ask("GET", await client.push(CONTENT))).body == CONTENT


@pytest.mark.parametrize("limit", [1, PIECE_BYTES, 3 * MIB])
async def test_a_quota_that_is_reached_in_the_middle_of_a_body_is_told(tmp_path: Path, limit: int) -> None:
    async with talk(tmp_path) as (server, client):
        server.registry.limit(Quota(total=limit))
        before = descriptors()
        for _ in range(3):
            answer = await client.ask("PATCH", await client.start(), CONTENT)
            assert (answer.status, b"QuotaExceeded" in answer.body) == (403, True)
        assert await client.is_usable()
        assert uploads_in(tmp_path) == []
        assert descriptors() == before


async def test_a_session_that_is_not_known_is_told_and_the_body_is_dropped(tmp_path: Path) -> None:
    async with talk(tmp_path) as (_, client):
        answer = await client.ask("PATCH", UPLOADS + "0" * 32, CONTENT)
        assert (answer.status, b"BLOB_UPLOAD_UNKNOWN" in answer.body) == (404, True)
        assert await client.is_usable()


async def test_a_session_whose_file_goes_in_the_middle_of_a_body_is_never_a_blob(tmp_path: Path) -> None:
    async with talk(tmp_path) as (server, client):
        location = await client.start()
        upload = await find_upload(server, location)
        await client.begin("PATCH", location, length=len(CONTENT))
        await client.send(CONTENT[:MIB])
        await until(lambda: upload.offset > 0)
        upload.path.unlink()
        await client.send(CONTENT[MIB:])
        # A worker that was at it when the file went has put the rest where nobody will find it.
        assert (await client.receive()).status in {202, 404}
        answer = await client.ask("PUT", f"{location}?digest={DIGEST}")
        assert (answer.status, b"BLOB_UPLOAD_UNKNOWN" in answer.body) == (404, True)
        assert (await client.ask("GET", BLOB)).status == 404


async def test_two_bodies_for_one_session_come_one_after_the_other(tmp_path: Path) -> None:
    async with talk(tmp_path) as (server, client):
        location = await client.start()
        other = await Client.open(server.listener.port)
        await client.begin("PATCH", location, length=len(CONTENT))
        await client.send(CONTENT[:MIB])
        upload = await find_upload(server, location)
        await until(lambda: upload.offset > 0)
        await other.begin("PATCH", location, length=len(CONTENT))
        second = asyncio.create_task(other.send(CONTENT))
        await client.send(CONTENT[MIB:])
        assert (await client.receive()).headers["range"] == f"0-{len(CONTENT) - 1}"
        await second
        assert (await other.receive()).headers["range"] == f"0-{2 * len(CONTENT) - 1}"
        await other.close()
        assert (await client.ask("PUT", f"{location}?digest={Digest.of(2 * CONTENT)}")).status == 201


async def test_a_body_longer_than_its_range_says_is_refused_unread(tmp_path: Path) -> None:
    async with talk(tmp_path) as (_, client):
        location = await client.start()
        answer = await client.ask("PATCH", location, CONTENT, content_range=f"0-{MIB}")
        assert (answer.status, b"SIZE_INVALID" in answer.body) == (400, True)
        assert (await client.ask("PATCH", location, CONTENT)).headers["range"] == f"0-{len(CONTENT) - 1}"


# --- downloads


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, len(CONTENT)), (len(CONTENT) - 1, len(CONTENT)), (MIB - 1, 3 * MIB + 1)]
)
async def test_a_part_of_a_large_blob_is_sent(tmp_path: Path, start: int, stop: int) -> None:
    async with talk(tmp_path) as (_, client):
        await client.push(CONTENT)
        for _ in range(2):
            answer = await client.ask("GET", BLOB, range=f"bytes={start}-{stop - 1}")
            assert (answer.status, answer.body == CONTENT[start:stop]) == (206, True)
            assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
async def test_after_a_restart_a_blob_of_any_size_is_sent_whole(tmp_path: Path, size: int) -> None:
    content = content_of(size)
    async with talk(tmp_path) as (_, client):
        assert (await client.ask("POST", f"{UPLOADS}?digest={Digest.of(content)}", content)).status == 201
    async with talk(tmp_path) as (_, client):
        for _ in range(2):
            answer = await client.ask("GET", f"/v2/lab/app/blobs/{Digest.of(content)}")
            assert (answer.status, answer.body) == (200, content)


async def test_a_head_is_answered_without_its_contents(tmp_path: Path) -> None:
    async with talk(tmp_path) as (_, client):
        await client.push(CONTENT)
        await client.begin("HEAD", BLOB, length=0)
        head = await client.receive_head()
        assert (head.status, head.headers["content-length"]) == (200, str(len(CONTENT)))
        assert await client.is_usable()


@pytest.mark.parametrize("place", [0, PIECE_BYTES, len(CONTENT) - 1])
async def test_a_large_damaged_blob_never_arrives_whole(tmp_path: Path, place: int) -> None:
    async with talk(tmp_path) as (_, client):
        await client.push(CONTENT)
        damaged = bytearray(CONTENT)
        damaged[place] ^= 1
        stored(tmp_path).write_bytes(damaged)
        await client.begin("GET", BLOB, length=0)
        assert (await client.receive_head()).status == 200
        arrived = await client.reader.read(len(CONTENT) + 1)
        while piece := await client.reader.read(MIB):
            arrived += piece
        assert len(arrived) < len(CONTENT)
        assert damaged.startswith(arrived)
        assert not stored(tmp_path).exists()


async def test_a_small_damaged_blob_is_an_error_and_the_connection_goes_on(tmp_path: Path) -> None:
    content = CONTENT[:PIECE_BYTES]
    async with talk(tmp_path) as (_, client):
        path = await client.push(content)
        stored(tmp_path, Digest.of(content)).write_bytes(content[:-1] + b"!")
        assert (await client.ask("GET", path)).status == 500
        assert (await client.ask("GET", await client.push(content))).body == content


async def test_a_blob_that_is_deleted_while_it_is_sent_arrives_whole(tmp_path: Path) -> None:
    async with talk(tmp_path) as (server, client):
        path = await client.push(UNREAD)
        reader = await Client.open(server.listener.port, receive_buffer=4096)
        await reader.begin("GET", path, length=0)
        await reader.receive_head()
        assert (await client.ask("DELETE", path)).status == 202
        assert not stored(tmp_path, Digest.of(UNREAD)).exists()
        assert await reader.reader.readexactly(len(UNREAD)) == UNREAD
        await reader.close()


async def test_readers_that_go_away_leave_no_descriptor(tmp_path: Path) -> None:
    async with talk(tmp_path) as (server, client):
        path = await client.push(UNREAD)
        before = descriptors()
        for number in range(30):
            reader = await Client.open(server.listener.port, receive_buffer=4096)
            await reader.begin("GET", path, length=0)
            if number % 3:
                await reader.receive_head()
            if number % 2:
                reader.abort()
            await reader.close()
        await until(lambda: descriptors() <= before)


# --- all around


async def test_what_goes_past_the_event_loop_is_measured(tmp_path: Path) -> None:
    passages: list[Passage] = []

    class Observer:
        def passed(self, passage: Passage) -> None:
            passages.append(passage)

        def refused(self, reason: str) -> None:
            raise AssertionError(reason)

    async with serve_registry(tmp_path) as server:
        app = create_registry_app(server.registry, prepare_accounts(), clock=VirtualClock(), observers=[Observer()])
        listener = Listener(app)
        await listener.start()
        client = await Client.open(listener.port)
        path = await client.push(CONTENT)
        assert (await client.ask("GET", path)).body == CONTENT
        await client.close()
        await listener.close()
    assert [(passage.method, passage.received, passage.sent) for passage in passages] == [
        ("POST", 0, 0),
        ("PATCH", len(CONTENT), 0),
        ("PUT", 0, 0),
        ("GET", 0, len(CONTENT)),
    ]


async def test_large_blobs_pass_behind_tls(tmp_path: Path) -> None:
    files = ensure_certificates(
        tmp_path / "tls", names=["localhost"], now=SystemClock().now(), authority=tmp_path / "ca"
    )
    context = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.crt")
    async with serve_registry(tmp_path / "registry") as server:
        listener = Listener(server.app, certificate=files.certificate, key=files.key)
        await listener.start()
        client = await Client.open(listener.port, tls=context)
        path = await client.push(CONTENT)
        assert (await client.ask("GET", path)).body == CONTENT
        assert (await client.ask("GET", path, range="bytes=5-2000000")).body == CONTENT[5:2000001]
        await client.close()
        await listener.close()
