from collections.abc import Callable
from typing import Any

from fakes.manifests import CONFIG_MAP, DEPLOYMENT, POD, config_map, deployment, namespace, options, owned_by, pod
from towpath.cluster.kernel import Kernel
from towpath.kube.objects import Object, name_of
from towpath.kube.requests import DeleteOptions, Propagation

FOREGROUND = DeleteOptions(propagation=Propagation.FOREGROUND)


def make(kernel: Kernel, name: str, *owners: Object, blocks: bool = False, **metadata: Any) -> Object:
    if owners:
        metadata["ownerReferences"] = owned_by(*owners, blocks=blocks)
    return kernel.create(config_map(name, **metadata), options()).object


def names(kernel: Kernel) -> list[str]:
    return [name_of(item) for item in kernel.list(CONFIG_MAP, "default").items]


def test_a_family_goes_in_one_transaction_to_the_last_generation(kernel: Kernel) -> None:
    grandparent = make(kernel, "grandparent")
    parent = make(kernel, "parent", grandparent)
    make(kernel, "child", parent)
    heard: list[int] = []
    kernel._store.on_commit(lambda changes: heard.append(len(changes)))
    kernel.delete(CONFIG_MAP, "grandparent", "default", DeleteOptions())
    assert names(kernel) == []
    assert heard == [3]


def test_foreground_deletion_runs_through_the_generations_from_below(kernel: Kernel) -> None:
    grandparent = make(kernel, "grandparent")
    parent = make(kernel, "parent", grandparent, blocks=True)
    make(kernel, "child", parent, blocks=True, finalizers=["test/hold"])
    kernel.delete(CONFIG_MAP, "grandparent", "default", FOREGROUND)
    assert names(kernel) == ["child", "grandparent", "parent"]
    child = kernel.get(CONFIG_MAP, "child", "default")
    del child["metadata"]["finalizers"]
    kernel.update(child, options())
    assert names(kernel) == []


def test_an_owner_does_not_wait_for_dependents_that_do_not_block(kernel: Kernel) -> None:
    owner = make(kernel, "owner")
    make(kernel, "child", owner, finalizers=["test/hold"])
    kernel.delete(CONFIG_MAP, "owner", "default", FOREGROUND)
    assert names(kernel) == ["child"]


def test_foreground_deletion_without_dependents_is_immediate(kernel: Kernel) -> None:
    make(kernel, "owner")
    kernel.delete(CONFIG_MAP, "owner", "default", FOREGROUND)
    assert names(kernel) == []


def test_a_waiting_owner_waits_for_the_graceful_end_of_its_pods(kernel: Kernel) -> None:
    owner = make(kernel, "owner")
    kernel.create(pod("one", node="here", ownerReferences=owned_by(owner, blocks=True)), options())
    kernel.delete(CONFIG_MAP, "owner", "default", FOREGROUND)
    assert kernel.get(POD, "one", "default")["metadata"]["deletionTimestamp"]
    assert names(kernel) == ["owner"]
    kernel.delete(POD, "one", "default", DeleteOptions(grace_period_seconds=0))
    assert names(kernel) == []


def test_a_dependent_of_a_living_and_a_waiting_owner_stays(kernel: Kernel) -> None:
    living, waiting = make(kernel, "living"), make(kernel, "waiting")
    make(kernel, "child", living, waiting)
    kernel.delete(CONFIG_MAP, "waiting", "default", FOREGROUND)
    assert names(kernel) == ["child", "living"]


def test_a_namesake_of_the_owner_does_not_save_the_dependents(kernel: Kernel) -> None:
    owner = make(kernel, "owner")
    make(kernel, "child", owner)
    kernel.delete(CONFIG_MAP, "owner", "default", DeleteOptions(propagation=Propagation.ORPHAN))
    make(kernel, "owner")
    assert names(kernel) == ["child", "owner"]
    child = kernel.get(CONFIG_MAP, "child", "default")
    child["metadata"]["ownerReferences"] = owned_by(owner)
    kernel.update(child, options())
    assert names(kernel) == ["owner"]


def test_an_owner_in_another_namespace_is_no_owner(kernel: Kernel) -> None:
    kernel.create(namespace("other"), options())
    stranger = kernel.create(config_map("owner", namespace="other"), options()).object
    make(kernel, "child", stranger)
    assert names(kernel) == []


def test_an_owner_of_a_kind_that_is_not_served_is_taken_for_present(kernel: Kernel) -> None:
    unicorn = {"apiVersion": "example.test/v1", "kind": "Unicorn", "metadata": {"name": "u", "uid": "u-1"}}
    make(kernel, "child", unicorn)
    assert names(kernel) == ["child"]


def test_garbage_left_by_a_crash_is_collected_when_the_kernel_opens(open_kernel: Callable[[], Kernel]) -> None:
    kernel = open_kernel()
    owner = make(kernel, "owner")
    make(kernel, "child", owner)
    waiting = make(kernel, "waiting")
    make(kernel, "blocker", waiting, blocks=True)
    with kernel._store.transaction():  # what a crash between a write and its consequences would leave
        for name in ("owner", "blocker"):
            record = kernel._store.find_uid(kernel.get(CONFIG_MAP, name, "default")["metadata"]["uid"])
            assert record is not None
            kernel._store.remove(record)
    kernel.close()
    assert names(open_kernel()) == ["waiting"]


def test_deleting_a_deployment_takes_its_pods(kernel: Kernel) -> None:
    owner = kernel.create(deployment("sensor"), options()).object
    kernel.create(pod("one", ownerReferences=owned_by(owner)), options())
    kernel.delete(DEPLOYMENT, "sensor", "default", DeleteOptions())
    assert kernel.list(POD).items == []
