"""The judge of answers to calls that overlapped: it finds the order that explains them, and contradictions."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fakes.linear import Call, explain_all


@dataclass
class Box:
    """It holds one thing."""

    content: str = ""

    def copy(self) -> "Box":
        return Box(self.content)


def puts(what: str) -> Callable[[Box], bool]:
    def explain(box: Box) -> bool:
        box.content = what
        return True

    return explain


def sees(what: str) -> Callable[[Box], bool]:
    return lambda box: box.content == what


def test_calls_that_overlapped_may_have_come_in_any_order() -> None:
    calls = [Call("put", 1, 4, puts("a")), Call("see nothing", 2, 5, sees("")), Call("see it", 3, 6, sees("a"))]

    assert explain_all(calls, Box()) == Box("a")


def test_a_call_that_had_ended_comes_before_one_that_began_later() -> None:
    with pytest.raises(AssertionError, match="no order explains"):
        explain_all([Call("put", 1, 2, puts("a")), Call("see nothing", 3, 4, sees(""))], Box())


def test_answers_that_contradict_each_other_have_no_order() -> None:
    calls = [Call("put", 1, 4, puts("a")), Call("see it", 2, 3, sees("a")), Call("see nothing", 5, 6, sees(""))]
    with pytest.raises(AssertionError, match=r"see nothing \[5-6\]"):
        explain_all(calls, Box())


def test_the_model_of_before_stays_as_it_was() -> None:
    before = Box("b")
    explain_all([Call("put", 1, 2, puts("a"))], before)

    assert before == Box("b")
