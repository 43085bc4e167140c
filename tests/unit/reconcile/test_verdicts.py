from dataclasses import replace

from fakes.clock import START, VirtualClock
from fakes.reconciling import NotesInMemory, commit, digest, healthy_seconds
from towpath.errors import RemoteError
from towpath.reconcile.verdicts import Observation, Outcome, Verdict, Verdicts, format_record, parse_record

HEALTHY = Observation("dev", "sensor", digest("1"), "canary", commit("c"), START, degraded=False, message="")
UNREADY = replace(HEALTHY, healthy_since=None, message="1 of 1 pods are not ready")
DEGRADED = replace(UNREADY, degraded=True, message="pod sensor-0: CrashLoopBackOff")


class Judged:
    """Verdicts with their notes."""

    def __init__(self, notes: NotesInMemory | None = None) -> None:
        self.clock = VirtualClock()
        self.notes = notes or NotesInMemory()
        self.verdicts = Verdicts(self.notes, clock=self.clock)
        self.verdicts.load(self.notes.lines)

    async def see(self, seen: Observation) -> bool:
        changed = self.verdicts.observe(seen, commit=commit("a"))
        await self.verdicts.flush()
        return changed

    def found(self) -> Verdict:
        verdict = self.verdicts.find("dev", "sensor", digest("1"))
        assert verdict is not None
        return verdict

    def lines(self) -> list[str]:
        return [line for lines in self.notes.lines.values() for line in lines]

    def outcomes(self) -> list[str]:
        return [parsed[1].outcome.value for line in self.lines() if (parsed := parse_record(line))]


async def test_health_is_counted_from_what_the_pods_prove() -> None:
    judged = Judged()
    judged.clock.step(30)
    await judged.see(HEALTHY)
    judged.clock.step(30)
    assert healthy_seconds(judged.found(), judged.clock.now()) == 60


async def test_looking_again_changes_nothing_and_writes_nothing() -> None:
    judged = Judged()
    assert await judged.see(HEALTHY)
    assert not await judged.see(HEALTHY)
    assert judged.outcomes() == ["healthy"]


async def test_an_interruption_starts_the_count_anew() -> None:
    judged = Judged()
    await judged.see(HEALTHY)
    judged.clock.step(100)
    await judged.see(UNREADY)
    assert judged.found().outcome is Outcome.PENDING
    assert healthy_seconds(judged.found(), judged.clock.now()) == 0
    await judged.see(replace(HEALTHY, healthy_since=START + 100))
    judged.clock.step(5)
    assert healthy_seconds(judged.found(), judged.clock.now()) == 5


async def test_a_restart_between_two_looks_is_seen_in_the_pods_times() -> None:
    judged = Judged()
    await judged.see(HEALTHY)
    judged.clock.step(100)
    await judged.see(replace(HEALTHY, healthy_since=START + 90))
    assert healthy_seconds(judged.found(), judged.clock.now()) == 10


async def test_a_degraded_release_says_why_and_is_noted_on_the_commit_that_built_it() -> None:
    judged = Judged()
    await judged.see(DEGRADED)
    assert (judged.found().outcome, judged.found().reason) == (Outcome.DEGRADED, "pod sensor-0: CrashLoopBackOff")
    assert list(judged.notes.lines) == [commit("c")]


async def test_a_restart_of_the_platform_neither_loses_nor_invents_soak_time() -> None:
    before = Judged()
    await before.see(HEALTHY)
    after = Judged(before.notes)
    after.clock.step(3600)
    # Not believed until the cluster has confirmed it.
    assert after.found().outcome is Outcome.PENDING
    await after.see(replace(HEALTHY, healthy_since=START + 1))
    assert healthy_seconds(after.found(), after.clock.now()) == 3600
    again = Judged(before.notes)
    again.clock.step(3600)
    await again.see(replace(HEALTHY, healthy_since=START + 3000))
    assert healthy_seconds(again.found(), again.clock.now()) == 600


async def test_a_flapping_release_writes_ever_fewer_notes() -> None:
    judged = Judged()
    for minute in range(600):
        await judged.see(replace(HEALTHY, healthy_since=START + 60 * minute))
        judged.clock.step(30)
        await judged.see(DEGRADED)
        judged.clock.step(30)
    assert judged.found().outcome is Outcome.DEGRADED
    assert 5 < len(judged.lines()) < 25


async def test_a_note_that_could_not_be_written_is_tried_again() -> None:
    judged = Judged()
    judged.notes.failures = [RemoteError("locked"), RemoteError("locked")]
    await judged.see(HEALTHY)
    assert judged.lines() == []
    await judged.see(HEALTHY)
    assert judged.outcomes() == ["healthy"]


async def test_an_artifact_of_unknown_origin_is_noted_on_the_environments_commit() -> None:
    judged = Judged()
    await judged.see(replace(HEALTHY, revision=""))
    assert list(judged.notes.lines) == [commit("a")]


async def test_a_rollback_is_a_verdict_too() -> None:
    judged = Judged()
    await judged.see(DEGRADED)
    await judged.verdicts.roll_back("dev", "sensor", digest("1"), reason="crashed", commit=commit("b"))
    assert (judged.found().outcome, judged.found().reason) == (Outcome.ROLLED_BACK, "crashed")
    later = Judged(judged.notes)
    known = later.verdicts.find_last_known("dev", "sensor", digest("1"))
    assert known is not None
    assert known.outcome is Outcome.ROLLED_BACK


async def test_verdicts_of_an_environment_are_told_oldest_first() -> None:
    judged = Judged()
    await judged.see(replace(HEALTHY, digest=digest("2"), healthy_since=START + 5))
    await judged.see(HEALTHY)
    assert [one.digest for one in judged.verdicts.of_environment("dev")] == [digest("1"), digest("2")]
    assert judged.verdicts.of_environment("prod") == []
    assert judged.verdicts.find("dev", "sensor", digest("9")) is None


def test_a_record_is_read_back_as_it_was_written() -> None:
    verdict = Verdict("dev", "sensor", digest("1"), Outcome.DEGRADED, START, "why", "canary", commit("c"))
    assert parse_record(format_record(verdict, at=START, commit=commit("a"))) == ("2026-01-31T09:30:00Z", verdict)


def test_lines_that_are_no_verdict_are_passed_over() -> None:
    for line in ("", "{", "[]", '{"kind":"hold"}', '{"kind":"verdict"}', '{"kind":"verdict","outcome":"odd"}'):
        assert parse_record(line) is None
