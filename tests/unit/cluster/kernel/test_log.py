from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.manifests import config_map, event
from towpath.cluster.kernel import log
from towpath.cluster.kernel.store import Store
from towpath.kube.objects import Object, ObjectKey, key_of

CONFIG_MAPS = ObjectKey("", "ConfigMap", "", "")
EVENTS = ObjectKey("", "Event", "", "")


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[Store]:
    store = Store(tmp_path, now=clock.now)
    yield store
    store.close()


def write(store: Store, obj: Object, times: int = 1) -> None:
    for _ in range(times):
        with store.transaction():
            store.put(key_of(obj), obj)


def test_old_changes_are_dropped_and_the_oldest_known_revision_says_so(store: Store) -> None:
    write(store, config_map("a"))
    with store.transaction():
        for _ in range(log.RETAINED_REVISIONS + log.TRIM_EVERY):
            store.put(key_of(config_map("b")), config_map("b"))
    oldest = store.log.oldest(CONFIG_MAPS)
    assert oldest >= 1
    kept = store.log.since(oldest, CONFIG_MAPS)
    assert (kept[0].revision, kept[-1].revision) == (oldest + 1, store.revision)
    assert len(kept) == log.RETAINED_REVISIONS


def test_chatter_is_trimmed_first_and_does_not_push_out_the_rest(store: Store) -> None:
    write(store, config_map("a"))
    with store.transaction():
        for _ in range(log.RETAINED_CHATTER + log.TRIM_EVERY):
            store.put(key_of(event("e")), event("e"))
    assert store.log.oldest(CONFIG_MAPS) == 0
    assert [change.key.name for change in store.log.since(0, CONFIG_MAPS)] == ["a"]
    assert len(store.log.since(store.log.oldest(EVENTS), EVENTS)) == log.RETAINED_CHATTER


def test_the_log_is_bounded_in_bytes(store: Store) -> None:
    large = config_map("large", {"v": "x" * 1_000_000})
    write(store, large, times=40)
    assert store.log._bytes <= log.RETAINED_BYTES
    assert store.log.oldest(CONFIG_MAPS) > 0
    assert store.log.since(store.log.oldest(CONFIG_MAPS), CONFIG_MAPS)[-1].revision == 40


def test_what_was_trimmed_is_known_after_a_restart(tmp_path: Path, clock: VirtualClock) -> None:
    store = Store(tmp_path, now=clock.now)
    write(store, config_map("large", {"v": "x" * 1_000_000}), times=40)
    known = (store.log.oldest(CONFIG_MAPS), store.log._bytes, store.revision)
    store.close()
    again = Store(tmp_path, now=clock.now)
    assert (again.log.oldest(CONFIG_MAPS), again.log._bytes, again.revision) == known
    again.close()


def test_changes_carry_the_state_before(store: Store) -> None:
    write(store, config_map("a", {"v": "1"}))
    write(store, config_map("a", {"v": "2"}))
    first, second = store.log.since(0, CONFIG_MAPS)
    assert (first.type, first.previous_object) == ("ADDED", None)
    assert second.type == "MODIFIED"
    assert second.previous_object is not None
    assert (second.previous_object["data"], second.object["data"]) == ({"v": "1"}, {"v": "2"})
