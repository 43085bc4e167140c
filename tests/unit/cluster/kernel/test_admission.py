from collections.abc import Callable
from typing import Any

import pytest

from fakes.manifests import SERVICE, config_map, options, pod, service
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import InvalidError
from towpath.kube.objects import Object
from towpath.kube.requests import DeleteOptions, Patch, PatchType


def create(kernel: Kernel, name: str, **spec: Any) -> Object:
    return kernel.create(service(name, **spec), options()).object


def test_services_get_different_addresses_of_the_range(open_kernel: Callable[..., Kernel]) -> None:
    kernel = open_kernel(service_range="10.43.0.0/27")
    addresses = {create(kernel, f"s{number}")["spec"]["clusterIP"] for number in range(15)}
    assert len(addresses) == 15
    with pytest.raises(InvalidError, match=r"range 10\.43\.0\.0/27 is full"):
        create(kernel, "one-more")
    kernel.delete(SERVICE, "s0", "default", DeleteOptions())
    assert create(kernel, "one-more")["spec"]["clusterIP"] in addresses


def test_a_wanted_address_is_given_if_it_is_free_and_in_the_range(kernel: Kernel) -> None:
    assert create(kernel, "a", clusterIP="10.43.9.9")["spec"]["clusterIPs"] == ["10.43.9.9"]
    with pytest.raises(InvalidError, match=r"failed to allocate IP 10\.43\.9\.9: provided IP is already allocated"):
        create(kernel, "b", clusterIP="10.43.9.9")
    with pytest.raises(InvalidError, match="is not in the valid range"):
        create(kernel, "c", clusterIP="192.168.0.1")


def test_an_update_without_an_address_keeps_it(kernel: Kernel) -> None:
    created = create(kernel, "a")
    updated = kernel.update(service("a", selector={"app": "x"}), options()).object
    assert updated["spec"]["clusterIP"] == created["spec"]["clusterIP"]
    assert updated["spec"]["clusterIPs"] == created["spec"]["clusterIPs"]


def test_an_external_name_has_no_address_and_may_become_a_service_with_one(kernel: Kernel) -> None:
    created = create(kernel, "a", type="ExternalName", externalName="example.test")
    assert "clusterIP" not in created["spec"]
    body = {"spec": {"type": "ClusterIP", "externalName": None}}
    changed = kernel.patch(SERVICE, "a", "default", Patch(PatchType.MERGE, body), options()).object
    assert changed["spec"]["clusterIP"].startswith("10.43.")


def test_a_dry_run_allocates_nothing(open_kernel: Callable[..., Kernel]) -> None:
    kernel = open_kernel(service_range="10.43.0.0/27")
    for number in range(20):
        kernel.create(service(f"s{number}"), options(dry_run=True))
    assert kernel.list(SERVICE).items == []


def test_a_pod_s_own_account_is_kept(kernel: Kernel) -> None:
    wanted = pod("one")
    wanted["spec"]["serviceAccountName"] = "robot"
    created = kernel.create(wanted, options()).object
    assert created["spec"]["serviceAccountName"] == created["spec"]["serviceAccount"] == "robot"


def test_a_kind_without_status_gets_none(kernel: Kernel) -> None:
    assert "status" not in kernel.create(config_map("a"), options()).object


def test_a_node_is_registered_with_its_status(kernel: Kernel) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "here"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    created = kernel.create(node, options()).object
    assert created["status"]["conditions"][0]["type"] == "Ready"
