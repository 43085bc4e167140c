"""Large contents under pressure: exchanges at random by the hundred, and clients that stand still by the hundred.

`TOWPATH_FAULTS_SEED` chooses other exchanges, `TOWPATH_FAULTS_EXCHANGES` how many.
"""

import asyncio
import os
import random
from base64 import b64encode
from pathlib import Path

import pytest

from fakes.contents_app import ContentsApp, content_of, serve_contents
from fakes.raw_http import RawConnection, format_head
from fakes.raw_random import talk_at_random
from fakes.registry import password
from fakes.registry_process import run_registry
from towpath.oci.digest import Digest

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("TOWPATH_FAULTS_SEED", "4"))
EXCHANGES = int(os.environ.get("TOWPATH_FAULTS_EXCHANGES", "150"))
AUTHORIZATION = "Basic " + b64encode(f"admin:{password('admin')}".encode()).decode()
UPLOADS = "/v2/lab/app/blobs/uploads/"
MIB = 1024 * 1024
READERS, UPLOADERS = 200, 100
# A request with its connection is some ten kilobytes; a buffer for each would be half a mebibyte.
BYTES_A_CLIENT = 128 * 1024
# More than the system keeps for a client that does not read.
BLOB = content_of(32 * MIB)


@pytest.mark.parametrize("batch", range(5))
async def test_exchanges_at_random_are_right_byte_by_byte(batch: int) -> None:
    for number in range(batch, EXCHANGES, 5):
        seed = SEED * 1_000_000 + number
        app, chance = ContentsApp(), random.Random(seed)  # noqa: S311 - repeatable on purpose
        try:
            async with serve_contents(app) as listener, asyncio.timeout(300):
                clients = chance.choice([1, 1, 3, 8])
                await asyncio.gather(*(talk_at_random(listener.port, chance, requests=8) for _ in range(clients)))
            assert app.errors == []
        except (AssertionError, OSError, asyncio.IncompleteReadError) as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def memory_of(process: int) -> int:
    """The most that a process has had in memory, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def descriptors_of(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


async def push(connection: RawConnection, content: bytes) -> str:
    """Push a blob; its path."""
    digest = Digest.of(content)
    answer = await connection.ask("POST", f"{UPLOADS}?digest={digest}", content, authorization=AUTHORIZATION)
    assert answer.status == 201
    return f"/v2/lab/app/blobs/{digest}"


async def read_slowly(port: int, path: str) -> RawConnection:
    """A client that asks for a blob and reads no further than its head."""
    reader = await RawConnection.open(port, receive_buffer=4096)
    await reader.send(format_head("GET", path, authorization=AUTHORIZATION))
    assert (await reader.receive_head()).status == 200
    return reader


async def upload_slowly(port: int, arrived: int) -> RawConnection:
    """A client that sends a part of a blob and stands still."""
    sender = await RawConnection.open(port)
    answer = await sender.ask("POST", UPLOADS, authorization=AUTHORIZATION)
    location, length = answer.headers["location"], str(len(BLOB))
    await sender.send(format_head("PATCH", location, content_length=length, authorization=AUTHORIZATION))
    await sender.send(BLOB[:arrived])
    return sender


async def test_hundreds_that_stand_still_take_no_buffers_and_keep_nobody_waiting(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable on purpose
    with run_registry(tmp_path / "registry") as registry:
        port, process = int(registry.host.rpartition(":")[2]), registry.process.pid
        async with asyncio.timeout(300):
            client = await RawConnection.open(port)
            path = await push(client, BLOB)
            assert (await client.ask("GET", path, authorization=AUTHORIZATION)).body == BLOB
            memory, descriptors = memory_of(process), descriptors_of(process)
            slow = [await read_slowly(port, path) for _ in range(READERS)]
            slow += [await upload_slowly(port, chance.randrange(2 * MIB)) for _ in range(UPLOADERS)]

            other = content_of(5 * MIB)
            assert (await client.ask("GET", await push(client, other), authorization=AUTHORIZATION)).body == other
            assert memory_of(process) - memory < len(slow) * BYTES_A_CLIENT
            # A connection, what a worker has of it, and the file of a blob.
            assert descriptors_of(process) - descriptors <= 3 * READERS + 2 * UPLOADERS
            for each in slow:
                each.abort()
                await each.close()
            while descriptors_of(process) > descriptors:  # noqa: ASYNC110 - nothing tells that they have ended
                await asyncio.sleep(0.01)
            await client.close()
