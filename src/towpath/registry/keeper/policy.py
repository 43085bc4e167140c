"""How long and how much is kept. Plain values; each default says why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What a collection keeps beyond what is needed.

    Attributes:
        grace_seconds: what was pushed or asked for within it stays. Two hours: longer than any push takes.
        settling_seconds: how long after a start nothing goes. A quarter of an hour: who asked before it asks again.
        newest_sets: how many of the newest sets stay. Ten: some days of a small team, for looking back.
        outside_tags: how many tags stay in a repository of no blueprint; None for all of them.
    """

    grace_seconds: float = 7200.0
    settling_seconds: float = 900.0
    newest_sets: int = 10
    outside_tags: int | None = None
