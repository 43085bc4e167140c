"""The waterfalls of pushes."""

import pytest

from fakes.observed import Observed
from towpath.errors import NotFoundError
from towpath.observe.waterfalls import describe_timeline


async def test_each_push_is_shown_with_its_commit(observed: Observed) -> None:
    commit = await observed.world.push({"services/sensor/main.py": "second"}, "Read faster")
    observed.timeline.stamp(commit, "received")
    await observed.clock.advance(2)
    observed.timeline.stamp(commit, "ready", environment="dev")
    observed.timeline.stamp("f" * 40, "ready", environment="prod")

    (unknown, known) = (await describe_timeline(observed.sources))["waterfalls"]

    assert (known["subject"], known["total_seconds"], known["ready"]) == ("Read faster", 2.0, True)
    assert known["spans"] == [{"stage": "ready", "start": 0.0, "end": 2.0}]
    assert (unknown["commit"], unknown["subject"]) == ("f" * 40, "")


async def test_an_environment_may_be_named_and_must_exist(observed: Observed) -> None:
    assert (await describe_timeline(observed.sources, environment="dev"))["waterfalls"] == []
    with pytest.raises(NotFoundError, match="environment staging"):
        await describe_timeline(observed.sources, environment="staging")
