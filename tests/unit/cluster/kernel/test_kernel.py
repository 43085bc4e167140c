from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.manifests import CONFIG_MAP, DEPLOYMENT, EVENT, config_map, deployment, event, options
from towpath.cluster.kernel import Kernel
from towpath.cluster.kernel.database import StorageError, StorageFullError
from towpath.kube.errors import ApiNotFoundError, BadRequestError, InvalidError
from towpath.kube.objects import GVK, name_of
from towpath.kube.requests import FieldValidation, Patch, PatchType


def test_events_are_forgotten_after_an_hour_without_anyone_writing(kernel: Kernel, clock: VirtualClock) -> None:
    kernel.create(event("old"), options())
    clock.step(3599)
    assert [name_of(item) for item in kernel.list(EVENT).items] == ["old"]
    revision = kernel.revision
    clock.step(1)
    assert kernel.list(EVENT).items == []
    with pytest.raises(ApiNotFoundError):
        kernel.get(EVENT, "old", "default")
    assert kernel.revision == revision


async def test_the_next_write_sweeps_expired_events_and_watchers_hear_of_it(
    kernel: Kernel, clock: VirtualClock
) -> None:
    kernel.create(event("old"), options())
    events = kernel.watch(EVENT, resource_version=str(kernel.revision))
    clock.step(3600)
    kernel.create(event("old"), options())
    assert [(await anext(events)).type for _ in range(2)] == ["DELETED", "ADDED"]


def test_an_event_that_happens_again_lives_another_hour(kernel: Kernel, clock: VirtualClock) -> None:
    created = kernel.create(event("again"), options()).object
    clock.step(3000)
    kernel.update({**created, "count": 2}, options())
    clock.step(3000)
    assert [name_of(item) for item in kernel.list(EVENT).items] == ["again"]


def test_writes_that_change_nothing_do_not_touch_the_disk(kernel: Kernel, tmp_path: Path) -> None:
    created = kernel.create(deployment("sensor"), options()).object
    journal = tmp_path / "cluster" / "objects.db-wal"
    before = journal.stat().st_size, journal.stat().st_mtime_ns
    kernel.update(created, options())
    kernel.patch(DEPLOYMENT, "sensor", "default", Patch(PatchType.MERGE, {"spec": {"replicas": 1}}), options())
    kernel.create(config_map("dry"), options(dry_run=True))
    kernel.list(DEPLOYMENT)
    assert (journal.stat().st_size, journal.stat().st_mtime_ns) == before


def test_the_write_ahead_log_stays_small_under_a_long_run_of_writes(kernel: Kernel, tmp_path: Path) -> None:
    for number in range(60):
        kernel.create(config_map(f"n{number}", {"v": "x" * 200_000}), options())
    assert (tmp_path / "cluster" / "objects.db-wal").stat().st_size < 8 * 1024 * 1024


def test_a_full_disk_refuses_the_whole_request_and_its_consequences(kernel: Kernel) -> None:
    pages = kernel._store._connection.execute("PRAGMA page_count").fetchone()[0]
    kernel._store._connection.execute(f"PRAGMA max_page_count = {pages}")
    revision = kernel.revision
    with pytest.raises(StorageFullError):
        kernel.create(config_map("large", {"v": "x" * 1_000_000}), options())
    assert kernel.revision == revision
    with pytest.raises(ApiNotFoundError):
        kernel.get(CONFIG_MAP, "large", "default")


def test_a_closed_kernel_refuses(kernel: Kernel) -> None:
    kernel.close()
    with pytest.raises(StorageError):
        kernel.get(CONFIG_MAP, "a", "default")


def test_an_unknown_kind_is_named(kernel: Kernel) -> None:
    with pytest.raises(ApiNotFoundError, match=r'no matches for kind "Unicorn" in version "example\.test/v1"'):
        kernel.list(GVK("example.test", "v1", "Unicorn"))


def test_unknown_fields_are_warned_about_on_request(kernel: Kernel) -> None:
    wanted = {**config_map("a"), "dta": {}}
    written = kernel.create(wanted, options(validation=FieldValidation.WARN))
    assert written.warnings == ['unknown field "dta"']
    quiet = kernel.create(
        {**wanted, "metadata": {"name": "b", "namespace": "default"}}, options(validation=FieldValidation.IGNORE)
    )
    assert quiet.warnings == []


def test_a_namespaced_object_needs_a_namespace_and_a_cluster_scoped_one_has_none(kernel: Kernel) -> None:
    homeless = config_map("a")
    del homeless["metadata"]["namespace"]
    with pytest.raises(BadRequestError, match="an empty namespace may not be set during creation"):
        kernel.create(homeless, options())
    with pytest.raises(BadRequestError, match="an empty namespace may not be set"):
        kernel.get(CONFIG_MAP, "a")
    housed = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "b"}}
    with pytest.raises(BadRequestError, match="cluster-scoped"):
        kernel.create(housed, options())


def test_a_patch_cannot_move_an_object(kernel: Kernel) -> None:
    kernel.create(config_map("a"), options())
    patch = Patch(PatchType.MERGE, {"metadata": {"name": "b"}})
    with pytest.raises(BadRequestError, match="kind, namespace and name cannot be changed"):
        kernel.patch(CONFIG_MAP, "a", "default", patch, options())


def test_an_apply_needs_a_manager_and_a_name(kernel: Kernel) -> None:
    with pytest.raises(InvalidError, match="fieldManager: Required value: is required for apply patch"):
        kernel.apply(config_map("a"), options(""))
    with pytest.raises(BadRequestError, match=r"metadata\.name"):
        kernel.apply(config_map(""), options())


@pytest.mark.parametrize("body", [{"a": object()}, {1: "x"}, {"a": [b"bytes"]}])
def test_what_is_not_json_is_refused(kernel: Kernel, body: dict[str, str]) -> None:
    with pytest.raises(BadRequestError):
        kernel.create(config_map("a", body), options())


def test_the_caller_s_object_is_left_alone(kernel: Kernel) -> None:
    wanted = deployment("sensor")
    kernel.create(wanted, options())
    assert wanted == deployment("sensor")
    kernel.apply(wanted, options("other", force=True))
    assert wanted == deployment("sensor")
