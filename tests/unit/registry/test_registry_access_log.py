"""The access log: its lines, its turns, and what it does when the disk does not."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from towpath.errors import UserError
from towpath.registry.access_log import FLUSH_BYTES, HELD_BYTES, AccessLog
from towpath.registry.traffic import Passage


def passage(number: int = 0, path: str = "/v2/lab/app/manifests/x") -> Passage:
    made = Passage(f"{number:016x}", "GET", path, "manifests", "10.0.0.7", "skopeo/1.9", 1_769_851_800.0)
    made.caller, made.status, made.sent, made.seconds = "ci", 200, 512, 0.0123
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_request_is_one_line_of_json(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log")
    log.passed(passage())
    log.close()
    assert lines(tmp_path / "access.log") == [
        {
            "time": "2026-01-31T09:30:00Z",
            "id": "0" * 16,
            "remote": "10.0.0.7",
            "caller": "ci",
            "method": "GET",
            "path": "/v2/lab/app/manifests/x",
            "status": 200,
            "received": 0,
            "sent": 512,
            "seconds": 0.0123,
            "agent": "skopeo/1.9",
        }
    ]


async def test_what_a_client_sends_cannot_forge_a_line(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log")
    log.passed(passage(path='/v2/a\n{"status":200}/manifests/x'))
    log.close()
    (line,) = lines(tmp_path / "access.log")
    assert line["path"] == '/v2/a\n{"status":200}/manifests/x'


async def test_lines_are_written_by_themselves_after_a_moment(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log")
    log.passed(passage())
    async with asyncio.timeout(60):
        while not (tmp_path / "access.log").stat().st_size:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)
    log.close()


async def test_a_long_file_is_turned_and_few_are_kept(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log", file_bytes=300)
    for number in range(20):
        log.passed(passage(number))
        log.flush()
    log.close()
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["access.log", "access.log.1", "access.log.2", "access.log.3"]
    kept = [int(line["id"], 16) for name in reversed(found) for line in lines(tmp_path / name)]
    assert kept == list(range(kept[0], 20))


async def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log")
    log.passed(passage(1))
    log.flush()
    (tmp_path / "access.log").rename(tmp_path / "moved")
    log.passed(passage(2))
    log.close()
    assert [len(lines(tmp_path / name)) for name in ("moved", "access.log")] == [1, 1]


async def test_a_disk_that_fails_costs_lines_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.symlink_to("/dev/full")
    log = AccessLog(path)
    count = HELD_BYTES // 100
    for number in range(count):
        log.passed(passage(number))
    path.unlink()
    log.close()
    *written, last = lines(path)
    assert HELD_BYTES / 2 < path.stat().st_size <= HELD_BYTES + FLUSH_BYTES
    assert last["dropped"] == count - len(written) > 0


async def test_a_file_that_cannot_be_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        AccessLog(tmp_path / "no" / "such" / "access.log")
