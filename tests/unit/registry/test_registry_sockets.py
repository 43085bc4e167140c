"""The registry over real sockets: bodies cut anywhere, clients that go away, nothing left open."""

import asyncio
from base64 import b64encode
from pathlib import Path

import pytest

from fakes.registry import RegistryServer, password, push_bytes, serve_registry
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.registry.storage.files import PIECE_BYTES

AUTHORIZATION = "Basic " + b64encode(f"admin:{password('admin')}".encode()).decode()
CONTENT = b"0123456789"
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
