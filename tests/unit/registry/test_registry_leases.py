"""Leases: who asks first, the client or the collector."""

from fakes.clock import START, VirtualClock
from towpath.registry.leases import Item, Leases


class JumpingClock(VirtualClock):
    """A clock whose wall time somebody sets."""

    jump = 0.0

    def now(self) -> float:
        return super().now() + self.jump


A, B = ("lab/app", "sha256:a"), ("lab/app", "sha256:b")


def always(_: Item) -> bool:
    return True


def test_what_was_asked_for_since_is_not_condemned() -> None:
    leases = Leases(clock=VirtualClock())
    assert leases.touch(*A)
    with leases.sentences() as judge:
        assert judge([A, B], leases.moment(), always) == {B}


async def test_what_was_asked_for_before_is_condemned() -> None:
    clock = VirtualClock()
    leases = Leases(clock=clock)
    leases.touch(*A)
    await clock.advance(1)
    with leases.sentences() as judge:
        assert judge([A], leases.moment(), always) == {A}


def test_who_asks_while_it_is_removed_is_told_that_it_is_not_here_and_afterwards_is_not() -> None:
    leases = Leases(clock=VirtualClock())
    with leases.sentences() as judge:
        assert leases.touch(*B), "nobody is condemned yet"
        judge([A], leases.moment(), always)
        assert not leases.touch(*A)
        assert leases.touch(*B)
    assert leases.touch(*A)


def test_what_is_needed_after_all_is_not_condemned() -> None:
    leases = Leases(clock=VirtualClock())
    with leases.sentences() as judge:
        assert judge([A, B], leases.moment(), lambda item: item == A) == {A}
        assert leases.touch(*B)


def test_a_clock_that_is_set_back_or_forth_changes_no_lease() -> None:
    clock = JumpingClock()
    leases = Leases(clock=clock)
    since = leases.moment()
    for jump in (-1e9, 1e9):
        clock.jump = jump
        leases.touch(*A)
        with leases.sentences() as judge:
            assert judge([A], since, always) == frozenset()
        assert leases.touches()[A] == clock.now()


async def test_memory_is_bounded_and_what_was_forgotten_is_not_guessed_about() -> None:
    clock = VirtualClock()
    leases = Leases(clock=clock, remembered=10)
    for number in range(11):
        leases.touch("lab/app", str(number))
    assert len(leases.touches()) == 6
    assert leases.complete_since() == START
    with leases.sentences() as judge:
        assert judge([A], leases.moment(), always) == frozenset(), "the touch of A may be among the forgotten ones"
    await clock.advance(1)
    with leases.sentences() as judge:
        assert judge([A], leases.moment(), always) == {A}
