"""Random histories: what readers piece together is what the kernel holds."""

import asyncio
import tempfile
from itertools import count, islice
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.clock import VirtualClock
from fakes.manifests import CONFIG_MAP, config_map, options
from towpath.cluster.kernel import Kernel, Watch
from towpath.kube.errors import AlreadyExistsError, ApiNotFoundError
from towpath.kube.objects import Object, name_of
from towpath.kube.requests import DeleteOptions, EventType, Patch, PatchType, WatchEvent

Step: TypeAlias = tuple[str, str, str]

NAMES = st.sampled_from("abcd")
TIERS = st.sampled_from(["front", "back"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), NAMES, TIERS),
        st.tuples(st.just("label"), NAMES, TIERS),
        st.tuples(st.just("change"), NAMES, st.sampled_from("12")),
        st.tuples(st.just("delete"), NAMES, st.just("")),
        st.tuples(st.just("apply"), NAMES, TIERS),
    ),
    max_size=25,
)


def open_kernel(directory: str) -> Kernel:
    numbers = count(1)
    return Kernel.open(Path(directory), clock=VirtualClock(), new_uid=lambda: f"uid-{next(numbers)}")


def act(kernel: Kernel, verb: str, name: str, value: str) -> None:
    """One step; a step that makes no sense at this moment is refused, and that is part of the history."""
    labels = {"tier": value}
    try:
        match verb:
            case "create":
                kernel.create(config_map(name, labels=labels), options())
            case "apply":
                kernel.apply(config_map(name, labels=labels), options("applier", force=True))
            case "delete":
                kernel.delete(CONFIG_MAP, name, "default", DeleteOptions())
            case "label" | "change":
                body = {"metadata": {"labels": labels}} if verb == "label" else {"data": {"v": value}}
                kernel.patch(CONFIG_MAP, name, "default", Patch(PatchType.MERGE, body), options())
    except (ApiNotFoundError, AlreadyExistsError):
        pass


def piece_together(watch: Watch, known: dict[str, Object]) -> dict[str, Object]:
    """What a client's cache holds after all events that are waiting; checks that they make sense in order."""
    version = 0
    while watch._pending:
        event = asyncio.run(anext_of(watch))
        name = name_of(event.object)
        assert int(event.object["metadata"]["resourceVersion"]) > version
        version = int(event.object["metadata"]["resourceVersion"])
        assert (name in known) is (event.type != EventType.ADDED)
        known[name] = event.object
        if event.type == EventType.DELETED:
            del known[name]
    return known


async def anext_of(watch: Watch) -> WatchEvent:
    return await anext(watch)


@settings(max_examples=60, deadline=None)
@given(before=STEPS, after=STEPS, labels=st.sampled_from(["", "tier=front", "tier!=front"]))
def test_a_list_and_the_events_after_it_give_the_next_list(before: list[Step], after: list[Step], labels: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        kernel = open_kernel(directory)
        for step in before:
            act(kernel, *step)
        page = kernel.list(CONFIG_MAP, labels=labels)
        version = page.resource_version
        live = kernel.watch(CONFIG_MAP, labels=labels, resource_version=version)
        for step in after:
            act(kernel, *step)
        replayed = kernel.watch(CONFIG_MAP, labels=labels, resource_version=version)
        held = {name_of(item): item for item in kernel.list(CONFIG_MAP, labels=labels).items}
        for watch in (live, replayed):
            assert piece_together(watch, {name_of(item): item for item in page.items}) == held
        kernel.close()


@settings(max_examples=40, deadline=None)
@given(before=STEPS, after=STEPS, limit=st.integers(1, 3))
def test_pages_read_while_others_write_show_one_moment(before: list[Step], after: list[Step], limit: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        kernel = open_kernel(directory)
        for step in before:
            act(kernel, *step)
        whole = kernel.list(CONFIG_MAP).items
        page = kernel.list(CONFIG_MAP, limit=limit)
        items = list(page.items)
        writes = iter(after)
        while page.continue_token:
            for step in islice(writes, 2):
                act(kernel, *step)
            page = kernel.list(CONFIG_MAP, limit=limit, continue_token=page.continue_token)
            items += page.items
        assert items == whole
        kernel.close()
