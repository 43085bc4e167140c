"""Loading without collecting."""

import gc
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from towpath.aio.loading import uncollected


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_loaded_uncollected_is_never_searched_for_garbage() -> None:
    seen: list[Any] = []
    frozen = gc.get_freeze_count()
    with uncollected():
        seen.append(gc.isenabled())
        made: list[list[int]] = [[] for _ in range(1000)]

    assert (seen, gc.isenabled()) == ([False], True)
    assert gc.get_freeze_count() >= frozen + len(made)


def test_garbage_is_collected_again_after_a_module_that_cannot_be_loaded() -> None:
    def fail() -> None:
        with uncollected():
            importlib.import_module("towpath.absent")

    failing: Callable[[], None] = fail
    with pytest.raises(ModuleNotFoundError):
        failing()
    assert gc.isenabled()
