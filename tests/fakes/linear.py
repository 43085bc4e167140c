"""Answers to calls that overlapped: is there an order, one after the other, in which all of them are right?

A call that had ended before another began comes before it; those that overlapped may have come either way. Whatever
order explains every answer gives the model of what is there now; if none does, the answers contradict each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

# Far more orders than calls of one step have that differ in anything.
TRIED = 20_000


class Copyable(Protocol):
    """A model of which a copy can be changed."""

    def copy(self) -> Self:
        """One that changes alone."""
        ...


M = TypeVar("M", bound=Copyable)


@dataclass(frozen=True)
class Call(Generic[M]):
    """One call and its answer.

    Attributes:
        name: for the message.
        began: a number that only grows.
        ended: the same, when the answer came.
        explain: whether the answer is right for a model, which it changes to what is true afterwards.
    """

    name: str
    began: int
    ended: int
    explain: Callable[[M], bool]


def explain_all(calls: Sequence[Call[M]], model: M) -> M:
    """The model after all calls. Raises AssertionError when no order explains them."""
    left = TRIED

    def search(pending: list[Call[M]], before: M) -> M | None:
        nonlocal left
        if not pending:
            return before
        horizon = min(call.ended for call in pending)
        for call in pending:
            if call.began <= horizon and left:
                left -= 1
                after = before.copy()
                if call.explain(after):
                    found = search([one for one in pending if one is not call], after)
                    if found is not None:
                        return found
        return None

    found = search(sorted(calls, key=lambda call: call.ended), model)
    if found is None:
        told = ", ".join(f"{call.name} [{call.began}-{call.ended}]" for call in calls)
        raise AssertionError(f"no order explains these answers: {told}")
    return found
