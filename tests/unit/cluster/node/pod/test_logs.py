import asyncio
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from towpath.cluster.node.pod.log_reader import LogQuery, read_log
from towpath.cluster.node.pod.logs import MOST_LINE_BYTES, LogFile, format_stamp

# 2026-01-31T09:30:00Z, one second further at each look.
START = 1_769_851_800


def ticking() -> Any:
    seconds = count(START)
    return lambda: next(seconds) * 1_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    opened = LogFile(tmp_path / "app" / "0.log", now=ticking())
    yield opened
    opened.close()


async def read(log: LogFile, live: LogFile | None = None, **query: Any) -> bytes:
    return b"".join([piece async for piece in read_log(log.path, LogQuery(**query), lambda: live)])


def test_a_record_is_a_time_a_stream_a_flag_and_a_text(log: LogFile) -> None:
    log.feed(b"hello\n")
    assert log.path.read_bytes() == b"2026-01-31T09:30:00.000000000Z stdout F hello\n"


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_lines_come_back_whole_whatever_the_pieces_were(log: LogFile, size: int) -> None:
    content = b"first\n\nthird with \xff bytes\nlast"
    for start in range(0, len(content), size):
        log.feed(content[start : start + size])
    log.close()
    assert await read(log) == content


async def test_a_line_over_the_limit_is_split_on_disk_and_whole_when_read(log: LogFile) -> None:
    line = b"x" * (2 * MOST_LINE_BYTES + 10)
    log.feed(line + b"\n")
    records = log.path.read_bytes().splitlines()
    assert [record.split(b" ")[2] for record in records] == [b"P", b"P", b"F"]
    assert await read(log) == line + b"\n"
    assert await read(log, tail_lines=1) == line + b"\n"


async def test_a_long_line_without_an_end_is_not_held_in_memory(log: LogFile) -> None:
    log.feed(b"x" * (MOST_LINE_BYTES + 1))
    assert await read(log) == b"x" * MOST_LINE_BYTES


@pytest.mark.parametrize(("lines", "expected"), [(0, b""), (1, b"d"), (2, b"c\nd"), (9, b"a\nb\nc\nd")])
async def test_the_tail_counts_lines_and_a_torn_one_is_a_line(log: LogFile, lines: int, expected: bytes) -> None:
    log.feed(b"a\nb\nc\nd")
    log.close()
    assert await read(log, tail_lines=lines) == expected


async def test_only_what_is_younger_and_each_with_its_time(log: LogFile) -> None:
    for line in (b"a\n", b"b\n", b"c\n"):
        log.feed(line)
    assert await read(log, since=START + 1) == b"b\nc\n"
    assert await read(log, since=START + 2, timestamps=True) == b"2026-01-31T09:30:02.000000000Z c\n"


async def test_a_log_rotates_and_both_parts_are_read(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log", now=ticking(), rotate_bytes=200)
    for number in range(12):
        log.feed(f"line {number}\n".encode())
    log.close()
    assert (tmp_path / "0.log.1").exists()
    assert (await read(log)).splitlines()[-1] == b"line 11"
    assert len(await read(log)) < 12 * len(b"line 0\n")  # the oldest part is gone


async def test_an_existing_log_is_continued(tmp_path: Path) -> None:
    for text in (b"before\n", b"after\n"):
        log = LogFile(tmp_path / "0.log", now=ticking())
        log.feed(text)
        log.close()
    assert await read(log) == b"before\nafter\n"


async def test_a_record_torn_by_a_crash_is_left_out(log: LogFile) -> None:
    log.feed(b"whole\n")
    log.close()
    with log.path.open("ab") as file:
        file.write(b"2026-01-31T09:30:09.0")
    assert await read(log) == b"whole\n"


async def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert [piece async for piece in read_log(tmp_path / "none.log", LogQuery(), lambda: None)] == []


async def test_following_shows_what_comes_and_ends_with_the_run(log: LogFile) -> None:
    log.feed(b"old\n")
    task = asyncio.create_task(read(log, log, follow=True))
    await asyncio.sleep(0)
    for text in (b"new\n", b"torn"):
        log.feed(text)
        await asyncio.sleep(0)
    log.close()
    assert await asyncio.wait_for(task, 10) == b"old\nnew\ntorn"


def test_a_log_that_cannot_be_rotated_goes_on_in_its_old_file(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log", now=ticking(), rotate_bytes=100)
    (tmp_path / "0.log.1" / "in-the-way").mkdir(parents=True)
    for number in range(10):
        log.feed(b"%d\n" % number)
    log.close()
    said = [record.split(b" ")[-1] for record in log.path.read_bytes().splitlines()]
    assert said == [b"%d" % number for number in range(10)]


async def test_following_goes_on_across_a_rotation(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "0.log", now=ticking(), rotate_bytes=200)
    task = asyncio.create_task(read(log, log, follow=True))
    for number in range(12):
        log.feed(f"line {number}\n".encode())
        for _ in range(3):
            await asyncio.sleep(0)
    log.close()
    assert await asyncio.wait_for(task, 10) == b"".join(f"line {number}\n".encode() for number in range(12))


def test_the_last_lines_are_at_hand_for_a_termination_message(log: LogFile) -> None:
    log.feed(b"a\nb\nc\n")
    assert log.tail(2, 100) == "b\nc"
    assert log.tail(2, 2) == "\nc"


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.fail("this machine has no /dev/full")
    broken = LogFile(tmp_path / "1.log", now=ticking())
    with full.open("wb") as sink:
        os.dup2(sink.fileno(), broken._descriptor)
    broken.feed(b"lost\n")
    broken.close()
    assert broken.is_closed


def test_times_have_nanoseconds() -> None:
    assert format_stamp(START * 1_000_000_000 + 5) == "2026-01-31T09:30:00.000000005Z"
