from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import VirtualClock
from fakes.manifests import config_map, owned_by
from towpath.cluster.kernel.changes import Change
from towpath.cluster.kernel.database import StorageError, StorageFullError
from towpath.cluster.kernel.store import Store
from towpath.kube.objects import ObjectKey, key_of, resource_version_of

A = ObjectKey("", "ConfigMap", "default", "a")


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[Store]:
    store = Store(tmp_path, now=clock.now)
    yield store
    store.close()


def put(store: Store, name: str, value: str = "", **metadata: Any) -> None:
    obj = config_map(name, {"v": value}, uid=f"uid-{name}", **metadata)
    store.put(key_of(obj), obj)


def put_both(store: Store, first: str, second: str) -> None:
    with store.transaction():
        put(store, "a", first)
        put(store, "b", second)


def fail_after_writing(store: Store) -> None:
    with store.transaction():
        put(store, "a", "2")
        put(store, "b", "2")
        raise ZeroDivisionError


def test_revisions_are_global_and_written_into_the_object(store: Store) -> None:
    with store.transaction():
        put(store, "a")
        put(store, "b")
        put(store, "a", "2")
    record = store.find(A)
    assert record is not None
    assert (record.revision, resource_version_of(record.parse()), store.revision) == (3, "3", 3)


def test_a_failed_transaction_leaves_nothing_behind(store: Store) -> None:
    heard: list[Change] = []
    store.on_commit(heard.extend)
    with store.transaction():
        put(store, "a", "1")
    with pytest.raises(ZeroDivisionError):
        fail_after_writing(store)
    record = store.find(A)
    assert record is not None
    assert record.parse()["data"] == {"v": "1"}
    assert (store.revision, [change.key.name for change in heard]) == (1, ["a"])


def test_a_transaction_that_is_not_kept_is_seen_inside_and_undone(store: Store) -> None:
    with store.transaction(keep=False) as changes:
        put(store, "a")
        assert store.find(A) is not None
        assert len(changes) == 1
    assert store.find(A) is None
    assert store.revision == 0


def test_listeners_hear_after_the_commit(store: Store) -> None:
    seen: list[int] = []
    store.on_commit(lambda changes: seen.append(len(changes)))
    with store.transaction():
        put(store, "a")
        put(store, "b")
        assert seen == []
    assert seen == [2]


def test_writing_outside_a_transaction_is_a_fault(store: Store) -> None:
    with pytest.raises(RuntimeError, match="inside a transaction"):
        put(store, "a")


def test_revisions_do_not_go_back_when_everything_is_gone_and_the_store_reopens(
    tmp_path: Path, clock: VirtualClock
) -> None:
    store = Store(tmp_path, now=clock.now)
    with store.transaction():
        put(store, "a")
        record = store.find(A)
        assert record is not None
        store.remove(record)
    store.close()
    again = Store(tmp_path, now=clock.now)
    with again.transaction():
        put(again, "b")
    assert again.revision == 3
    again.close()


def test_a_full_disk_is_a_clear_error_and_the_store_goes_on(store: Store) -> None:
    with store.transaction():
        put(store, "a", "1")
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFullError, match="no space left") as caught:
        put_both(store, "2", "x" * 100_000)
    assert caught.value.status() | {"message": ""} == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "",
        "reason": "InternalError",
        "code": 507,
    }
    record = store.find(A)
    assert record is not None
    assert record.parse()["data"] == {"v": "1"}
    store._connection.execute("PRAGMA max_page_count = 1000000")
    with store.transaction():
        put(store, "b", "x" * 100_000)
    assert store.revision == 2


def test_a_broken_connection_is_a_storage_error(tmp_path: Path, clock: VirtualClock) -> None:
    store = Store(tmp_path, now=clock.now)
    store._connection.close()
    with pytest.raises(StorageError, match="cluster store failed"):
        store.find(A)
    with pytest.raises(StorageError), store.transaction():
        put(store, "a")


def test_dependents_follow_every_change_of_the_references(store: Store) -> None:
    owner, other = config_map("owner", uid="uid-owner"), config_map("other", uid="uid-other")
    with store.transaction():
        put(store, "a", ownerReferences=owned_by(owner))
        put(store, "b", ownerReferences=owned_by(owner, other))
        assert [record.key.name for record in store.dependents("uid-owner")] == ["a", "b"]
        put(store, "a")
        assert [record.key.name for record in store.dependents("uid-owner")] == ["b"]
        record = store.find(key_of(config_map("b")))
        assert record is not None
        store.remove(record)
    assert store.dependents("uid-owner") == store.dependents("uid-other") == store.owned() == []


def test_expired_rows_are_hidden_at_once_and_swept_by_a_later_write(store: Store, clock: VirtualClock) -> None:
    obj = config_map("a", uid="uid-a")
    with store.transaction():
        store.put(A, obj, expires=clock.now() + 60)
    clock.step(60)
    assert store.find(A) is None
    assert store.records(A) == []
    with store.transaction() as changes:
        store.sweep_expired()
    assert [change.type for change in changes] == ["DELETED"]
    assert store.find_uid("uid-a") is None


def test_records_come_in_order_of_namespace_and_name(store: Store) -> None:
    with store.transaction():
        for namespace, name in (("b", "a"), ("a", "z"), ("a", "b")):
            obj = config_map(name, namespace=namespace)
            store.put(key_of(obj), obj)
    names = [(record.key.namespace, record.key.name) for record in store.records(A._replace(namespace=""))]
    assert names == [("a", "b"), ("a", "z"), ("b", "a")]
    assert [record.key.name for record in store.records(A._replace(namespace="a"))] == ["b", "z"]
