"""A commit's way through the stages."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from towpath.observe.timeline import STAGES, Span, Timeline


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def open_timeline(tmp_path: Path, clock: VirtualClock) -> Timeline:
    return Timeline(tmp_path / "state.db", clock=clock)


async def pass_stages(timeline: Timeline, clock: VirtualClock, commit: str, *, seconds: float = 1.0) -> None:
    for stage in STAGES:
        timeline.stamp(commit, stage, environment="dev" if stage in {"planned", "applied", "ready"} else "")
        await clock.advance(seconds)


async def test_each_bar_starts_where_the_one_before_ended(tmp_path: Path, clock: VirtualClock) -> None:
    timeline = open_timeline(tmp_path, clock)
    await pass_stages(timeline, clock, "c1", seconds=2.0)
    waterfall = timeline.waterfall("c1", "dev")
    timeline.close()

    assert [span.stage for span in waterfall.spans] == list(STAGES[1:])
    assert all(span.seconds == pytest.approx(2.0) for span in waterfall.spans)
    assert waterfall.total_seconds == pytest.approx(12.0)
    assert waterfall.is_ready


async def test_only_the_first_stamp_of_a_stage_counts(tmp_path: Path, clock: VirtualClock) -> None:
    timeline = open_timeline(tmp_path, clock)
    timeline.stamp("c1", "received")
    await clock.advance(1)
    timeline.stamp("c1", "fetched")
    await clock.advance(10)
    timeline.stamp("c1", "fetched")
    waterfall = timeline.waterfall("c1", "dev")
    timeline.close()

    assert waterfall.total_seconds == pytest.approx(1.0)
    assert not waterfall.is_ready


async def test_stamps_survive_a_restart(tmp_path: Path, clock: VirtualClock) -> None:
    first = open_timeline(tmp_path, clock)
    await pass_stages(first, clock, "c1")
    first.close()

    second = open_timeline(tmp_path, clock)
    waterfalls = second.recent("dev")
    second.close()

    assert [waterfall.commit for waterfall in waterfalls] == ["c1"]


async def test_the_newest_commit_comes_first(tmp_path: Path, clock: VirtualClock) -> None:
    timeline = open_timeline(tmp_path, clock)
    for commit in ("c1", "c2", "c3"):
        await pass_stages(timeline, clock, commit)
    recent = timeline.recent("dev", limit=2)
    elsewhere = timeline.recent("prod")
    timeline.close()

    assert [waterfall.commit for waterfall in recent] == ["c3", "c2"]
    assert elsewhere == []


async def test_every_new_stage_is_reported_with_its_duration(tmp_path: Path, clock: VirtualClock) -> None:
    seen: list[tuple[str, Span]] = []
    timeline = Timeline(tmp_path / "state.db", clock=clock, on_stage=lambda *told: seen.append(told))
    await pass_stages(timeline, clock, "c1", seconds=3.0)
    timeline.close()

    assert {commit for commit, _ in seen} == {"c1"}
    assert [(span.stage, span.environment) for _, span in seen] == [
        ("fetched", ""),
        ("built", ""),
        ("pushed", ""),
        ("planned", "dev"),
        ("applied", "dev"),
        ("ready", "dev"),
    ]
    assert {round(span.seconds, 6) for _, span in seen} == {3.0}
    assert seen[-1][1].end_seconds == pytest.approx(18.0)


async def test_a_stage_is_not_reported_when_nobody_knows_when_the_push_arrived(
    tmp_path: Path, clock: VirtualClock
) -> None:
    seen: list[tuple[str, Span]] = []
    timeline = Timeline(tmp_path / "state.db", clock=clock, on_stage=lambda *told: seen.append(told))
    timeline.stamp("c1", "planned", environment="dev")
    await clock.advance(5)
    timeline.stamp("c1", "ready", environment="dev")
    waterfall = timeline.waterfall("c1", "dev")
    timeline.close()

    assert seen == []
    assert waterfall.is_ready


def test_an_unknown_stage_is_a_bug_of_the_caller(tmp_path: Path, clock: VirtualClock) -> None:
    timeline = open_timeline(tmp_path, clock)
    with pytest.raises(ValueError, match="stage 'flown' is unknown"):
        timeline.stamp("c1", "flown")
    timeline.close()


def test_a_commit_nobody_saw_has_no_bars(tmp_path: Path, clock: VirtualClock) -> None:
    timeline = open_timeline(tmp_path, clock)
    waterfall = timeline.waterfall("c9", "dev")
    timeline.close()

    assert waterfall.spans == ()
    assert waterfall.total_seconds == 0.0


def damaged(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)


def of_another_version(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version=99")
    database.close()


def of_another_shape(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE stamps (something TEXT)")
    database.close()


@pytest.mark.parametrize("spoil", [damaged, of_another_version, of_another_shape])
async def test_a_file_that_cannot_be_used_is_started_anew(
    tmp_path: Path, clock: VirtualClock, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path / "state.db")
    for _ in range(2):  # the second one keeps what the first has written
        timeline = open_timeline(tmp_path, clock)
        await pass_stages(timeline, clock, "c1")
        found = timeline.recent("dev")
        timeline.close()
        assert [waterfall.is_ready for waterfall in found] == [True]


async def test_where_nothing_can_be_written_measuring_goes_on_in_memory(tmp_path: Path, clock: VirtualClock) -> None:
    timeline = Timeline(tmp_path / "nowhere" / "state.db", clock=clock)
    await pass_stages(timeline, clock, "c1")
    assert timeline.recent("dev")[0].is_ready
    timeline.close()


async def test_a_stamp_that_cannot_be_kept_stops_nobody(tmp_path: Path, clock: VirtualClock) -> None:
    timeline = open_timeline(tmp_path, clock)
    await pass_stages(timeline, clock, "c1")
    with sqlite3.connect(tmp_path / "state.db", isolation_level=None) as other:
        other.execute("DROP TABLE stamps")
    other.close()
    timeline.stamp("c2", "received")
    timeline.close()
