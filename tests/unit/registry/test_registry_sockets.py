"""The registry over real sockets: bodies cut anywhere, clients that go away, nothing left open."""

import asyncio
import contextlib
from base64 import b64encode
from pathlib import Path

import pytest

from fakes.registry import RegistryServer, password, push_bytes, serve_registry
from towpath.http.body import Patience
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.registry.storage.files import PIECE_BYTES

AUTHORIZATION = "Basic " + b64encode(f"admin:{password('admin')}".encode()).decode()
CONTENT = b"0123456789"
IMPATIENT = Patience(pause_seconds=0.05)
DIGEST = Digest.of(CONTENT)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Wire:
    """One connection, spoken to in raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, server: RegistryServer) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", server.listener.port))

    def send_head(self, method: str, path: str, **headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: {AUTHORIZATION}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def receive_head(self) -> tuple[int, dict[str, str]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines)

    async def start_upload(self) -> str:
        self.send_head("POST", "/v2/lab/app/blobs/uploads/", content_length="0")
        status, headers = await self.receive_head()
        assert status == 202
        return headers["location"]

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@pytest.mark.parametrize("size", [1, 3, 10])
async def test_a_chunked_body_is_read_however_it_is_cut(tmp_path: Path, size: int) -> None:
    async with serve_registry(tmp_path) as server:
        wire = await Wire.open(server)
        location = await wire.start_upload()
        wire.send_head("PATCH", location, transfer_encoding="chunked")
        pieces = [CONTENT[start : start + size] for start in range(0, 10, size)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        for position in range(len(body)):
            wire.writer.write(body[position : position + 1])
            await wire.writer.drain()
        status, headers = await wire.receive_head()
        assert (status, headers["range"]) == (202, "0-9")
        wire.send_head("PUT", f"{location}?digest={DIGEST}", content_length="0")
        assert (await wire.receive_head())[0] == 201
        await wire.close()


async def test_a_sender_that_hangs_up_can_go_on_over_a_new_connection(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        wire = await Wire.open(server)
        location = await wire.start_upload()
        wire.send_head("PATCH", location, content_length="10")
        wire.writer.write(CONTENT[:4])
        await wire.close()
        wire = await Wire.open(server)
        # The lock of the session is free when the interrupted request has ended.
        wire.send_head("PATCH", location, content_length="6", content_range="4-9")
        wire.writer.write(CONTENT[4:])
        status, headers = await wire.receive_head()
        assert (status, headers["range"]) == (202, "0-9")
        wire.send_head("PUT", f"{location}?digest={DIGEST}", content_length="0")
        assert (await wire.receive_head())[0] == 201
        await wire.close()


async def test_a_refused_upload_does_not_wait_for_its_body(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        wire = await Wire.open(server)
        wire.send_head(
            "PATCH", "/v2/lab/app/blobs/uploads/" + "0" * 32, content_length="1000000", expect="100-continue"
        )
        assert (await wire.receive_head())[0] == 404
        await wire.close()


async def test_uploads_that_are_broken_off_leave_nothing_open(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        await (await Wire.open(server)).close()
        before = open_files()
        for _ in range(50):
            wire = await Wire.open(server)
            location = await wire.start_upload()
            wire.send_head("PATCH", location, content_length="10")
            wire.writer.write(CONTENT[:4])
            await wire.close()
        wire = await Wire.open(server)
        wire.send_head("GET", "/v2/", connection="close")
        await wire.reader.read()
        await wire.close()
        assert open_files() <= before + 2


async def test_a_large_damaged_blob_arrives_broken(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app")
        content = bytes(3 * PIECE_BYTES)
        blob = await push_bytes(client, reference, content, media.OCI_LAYER)
        stored = tmp_path / "blobs" / "sha256" / blob.digest.hex[:2] / blob.digest.hex
        stored.write_bytes(content[:-1] + b"!")
        wire = await Wire.open(server)
        wire.send_head("GET", f"/v2/lab/app/blobs/{blob.digest}")
        status, headers = await wire.receive_head()
        assert (status, headers["content-length"]) == (200, str(len(content)))
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await wire.reader.readexactly(len(content))
        assert len(caught.value.partial) == 2 * PIECE_BYTES
        await wire.close()
        await client.close()


async def test_a_reader_that_goes_away_ends_the_reading(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        client, reference = server.client(), server.reference("lab/app")
        blob = await push_bytes(client, reference, bytes(40 * PIECE_BYTES), media.OCI_LAYER)
        wire = await Wire.open(server)
        wire.send_head("GET", f"/v2/lab/app/blobs/{blob.digest}")
        await wire.receive_head()
        wire.writer.transport.abort()
        assert await client.read_blob(reference, blob, limit=blob.size) == bytes(blob.size)
        await client.close()


async def test_a_client_that_trickles_is_refused_and_can_go_on(tmp_path: Path) -> None:
    async with serve_registry(tmp_path, patience=IMPATIENT) as server:
        wire = await Wire.open(server)
        location = await wire.start_upload()
        wire.send_head("PATCH", location, content_length="10")
        wire.writer.write(CONTENT[:4])
        status, headers = await wire.receive_head()
        assert (status, headers["connection"]) == (408, "close")
        assert b"BLOB_UPLOAD_INVALID" in await wire.reader.read()
        upload = await server.registry.blobs.get_upload("lab/app", location.rpartition("/")[2])
        assert not upload.lock.locked()
        arrived = upload.offset
        await wire.close()
    async with serve_registry(tmp_path) as server:
        wire = await Wire.open(server)
        rest = CONTENT[arrived:]
        wire.send_head("PUT", f"{location}?digest={DIGEST}", content_length=str(len(rest)))
        wire.writer.write(rest)
        assert (await wire.receive_head())[0] == 201
        await wire.close()


async def test_a_manifest_that_trickles_is_refused(tmp_path: Path) -> None:
    async with serve_registry(tmp_path, patience=IMPATIENT) as server:
        wire = await Wire.open(server)
        wire.send_head("PUT", "/v2/lab/app/manifests/x", content_length="1000")
        wire.writer.write(b"{")
        assert (await wire.receive_head())[0] == 408
        await wire.close()


async def test_a_blob_in_one_post_that_trickles_leaves_nothing(tmp_path: Path) -> None:
    async with serve_registry(tmp_path, patience=IMPATIENT) as server:
        wire = await Wire.open(server)
        wire.send_head("POST", f"/v2/lab/app/blobs/uploads/?digest={DIGEST}", content_length="10")
        wire.writer.write(CONTENT[:4])
        assert (await wire.receive_head())[0] == 408
        assert list((tmp_path / "uploads").iterdir()) == []
        await wire.close()


@pytest.mark.parametrize(("method", "statuses"), [("BREW", {400}), ("PROPFIND", {405}), ("CONNECT", {400, 405})])
async def test_a_method_of_any_name_gets_an_answer(tmp_path: Path, method: str, statuses: set[int]) -> None:
    async with serve_registry(tmp_path) as server:
        wire = await Wire.open(server)
        wire.send_head(method, "/v2/lab/app/tags/list", connection="close")
        assert (await wire.receive_head())[0] in statuses
        await wire.close()


async def test_a_path_of_a_megabyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:
        wire = await Wire.open(server)
        wire.send_head("GET", f"/v2/{'a' * 1_000_000}/tags/list")
        # The end of a connection on which something is still to be read may overtake the answer.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            assert (await wire.receive_head())[0] == 431
        with contextlib.suppress(ConnectionError):
            await wire.close()
        other = await Wire.open(server)
        other.send_head("GET", "/v2/", connection="close")
        assert (await other.receive_head())[0] == 200
        await other.close()


@pytest.mark.parametrize("name", ["..", "../..", "lab/..", "lab/../app", "../../etc", "./lab", "lab/./app"])
@pytest.mark.parametrize("path", ["tags/list", f"blobs/{DIGEST}", "manifests/passwd"])
async def test_a_path_that_climbs_is_no_name(tmp_path: Path, name: str, path: str) -> None:
    async with serve_registry(tmp_path) as server:
        wire = await Wire.open(server)
        wire.send_head("GET", f"/v2/{name}/{path}", connection="close")
        assert (await wire.receive_head())[0] == 400
        assert b'"NAME_INVALID"' in await wire.reader.read()
        await wire.close()
