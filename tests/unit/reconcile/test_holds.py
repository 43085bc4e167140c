from fakes.clock import START, VirtualClock
from fakes.reconciling import NotesInMemory, commit
from towpath.reconcile.holds import Holds
from towpath.reconcile.status import Hold


def load(notes: NotesInMemory, clock: VirtualClock) -> Holds:
    holds = Holds(notes, clock=clock)
    holds.load(notes.lines)
    return holds


async def test_a_hold_lasts_longer_than_its_process() -> None:
    notes, clock = NotesInMemory(), VirtualClock()
    hold = Hold("debugging", START, "me", START + 3600)
    await load(notes, clock).hold("prod", hold, commit=commit("a"))
    assert load(notes, clock).find("prod") == hold
    assert load(notes, clock).find("dev") is None


async def test_a_hold_expires() -> None:
    notes, clock = NotesInMemory(), VirtualClock()
    holds = load(notes, clock)
    await holds.hold("prod", Hold("lunch", START, until=START + 60), commit=commit("a"))
    clock.step(60)
    assert holds.find("prod") is None


async def test_the_latest_of_hold_and_resume_counts() -> None:
    notes, clock = NotesInMemory(), VirtualClock()
    holds = load(notes, clock)
    await holds.hold("prod", Hold("one", START), commit=commit("b"))
    clock.step(0.1)
    assert await holds.resume("prod", commit=commit("a"))
    assert load(notes, clock).find("prod") is None
    clock.step(0.1)
    await holds.hold("prod", Hold("two", START), commit=commit("a"))
    found = load(notes, clock).find("prod")
    assert found is not None
    assert found.reason == "two"


async def test_resuming_what_is_not_held_writes_nothing() -> None:
    notes = NotesInMemory()
    assert not await load(notes, VirtualClock()).resume("prod", commit=commit("a"))
    assert notes.lines == {}


def test_damaged_and_other_lines_are_passed_over() -> None:
    notes = NotesInMemory()
    notes.lines = {commit("a"): ["{", "[]", '{"kind":"verdict"}', '{"kind":"hold"}', '{"kind":"hold","at":"x"}']}
    assert load(notes, VirtualClock()).find("prod") is None
