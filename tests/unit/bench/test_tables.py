"""What the benches make of their measurements."""

from bench.idle import Idle
from bench.idle import make_tables as make_idle_tables
from bench.processes import Memory
from bench.push import Push
from bench.push import make_table as make_push_table
from bench.startup import Start
from bench.startup import make_table as make_startup_table

MEBIBYTE = 2**20


def test_pushes_are_shown_by_stage_beside_the_first_one() -> None:
    pushes = [Push({"fetched": number / 100, "ready": 0.2}, number / 10, 0.3, 0.5) for number in range(1, 21)]
    first = {"spans": [{"stage": "fetched", "start": 0.0, "end": 1.5}], "total_seconds": 2.5}
    rows = {row[0]: row[1:] for row in make_push_table(first, pushes).rows}
    assert rows["fetched"] == ("105 ms", "190 ms", "1.50 s")
    assert rows["built"] == ("0.0 ms", "0.0 ms", "0.0 ms")
    assert rows["**received to ready**"] == ("1.05 s", "1.90 s", "2.50 s")


def test_starts_are_shown_by_case_with_the_slowest() -> None:
    table = make_startup_table({"restart": [Start(0.3, 0.4, 0.9), Start(0.1, 0.2, 0.5), Start(0.2, 0.3, 0.7)]})
    assert table.rows == (("restart", "200 ms", "300 ms", "400 ms", "700 ms"),)


def test_the_platform_is_its_process_and_its_broker_without_the_pods() -> None:
    idle = Idle(
        before_push=Memory(60 * MEBIBYTE, 50 * MEBIBYTE),
        platform=Memory(80 * MEBIBYTE, 70 * MEBIBYTE),
        broker=Memory(10 * MEBIBYTE, 5 * MEBIBYTE),
        pods=Memory(200 * MEBIBYTE, 100 * MEBIBYTE),
        processor_share=0.0031,
        written=4096,
        grown=0,
        touched=(),
    )
    memory, quiet = make_idle_tables(idle)
    assert ("**the platform**", "90.0 MiB", "75.0 MiB") in memory.rows
    assert ("processor, share of one core", "0.31%") in quiet.rows
    assert ("files touched", "none") in quiet.rows
