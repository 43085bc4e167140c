import os

from bench.machine import parse_field
from bench.processes import Memory, children_of, memory_of, parse_io, parse_smaps_rollup, parse_stat

SMAPS_ROLLUP = """\
55d0c8a00000-7ffd3a5f2000 ---p 00000000 00:00 0                          [rollup]
Rss:              131144 kB
Pss:              119842 kB
Pss_Dirty:        106628 kB
"""
STAT = "8417 (a (strange) name) S 8415 8417 8400 0 -1 4194560 9 8 7 6 250 45 3 2 20 0 11 0 400123 1 2 3"
IO = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 116891648\ncancelled_write_bytes: 6\n"


def test_memory_is_read_in_bytes() -> None:
    assert parse_smaps_rollup(SMAPS_ROLLUP) == Memory(rss=131144 * 1024, pss=119842 * 1024)


def test_a_name_with_parentheses_does_not_shift_the_fields() -> None:
    assert parse_stat(STAT) == (8415, 295)


def test_writes_to_storage_are_told_from_writes_to_pipes() -> None:
    assert parse_io(IO) == 116891648


def test_the_kernel_of_this_machine_is_understood() -> None:
    assert os.getpid() in children_of(os.getppid())
    own = memory_of([os.getpid()])
    assert own.rss >= own.pss > 0


def test_a_field_is_found_whatever_the_padding() -> None:
    text = "processor\t: 0\nmodel name\t: A CPU: fast\n"
    assert parse_field(text, "model name") == "A CPU: fast"
    assert not parse_field(text, "flags")
