from collections.abc import Callable

import pytest

from fakes.manifests import CONFIG_MAP, NAMESPACE, POD, SERVICE_ACCOUNT, config_map, namespace, options, owned_by, pod
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import ApiNotFoundError, ForbiddenError
from towpath.kube.objects import name_of
from towpath.kube.requests import DeleteOptions, Propagation


def namespaces(kernel: Kernel) -> list[str]:
    return [name_of(item) for item in kernel.list(NAMESPACE).items]


def delete(kernel: Kernel, name: str, propagation: Propagation = Propagation.BACKGROUND) -> None:
    kernel.delete(NAMESPACE, name, "", DeleteOptions(propagation=propagation))


def test_a_new_cluster_has_its_first_namespaces(kernel: Kernel) -> None:
    assert namespaces(kernel) == ["default", "kube-system"]
    first = kernel.get(NAMESPACE, "default")
    assert first["metadata"]["labels"] == {"kubernetes.io/metadata.name": "default"}
    assert (first["spec"], first["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})


def test_opening_again_writes_nothing(open_kernel: Callable[..., Kernel]) -> None:
    kernel = open_kernel(b"CA")
    revision = kernel.revision
    kernel.close()
    assert open_kernel(b"CA").revision == revision


def test_a_new_certificate_authority_is_published_everywhere(open_kernel: Callable[..., Kernel]) -> None:
    kernel = open_kernel(b"OLD")
    kernel.create(namespace("dev"), options())
    assert kernel.get(CONFIG_MAP, "kube-root-ca.crt", "dev")["data"] == {"ca.crt": "OLD"}
    kernel.close()
    again = open_kernel(b"NEW")
    assert again.get(CONFIG_MAP, "kube-root-ca.crt", "dev")["data"] == {"ca.crt": "NEW"}


def test_furniture_that_is_deleted_comes_back(open_kernel: Callable[..., Kernel]) -> None:
    kernel = open_kernel(b"CA")
    before = kernel.get(SERVICE_ACCOUNT, "default", "default")
    kernel.delete(SERVICE_ACCOUNT, "default", "default", DeleteOptions())
    kernel.delete(CONFIG_MAP, "kube-root-ca.crt", "default", DeleteOptions())
    assert kernel.get(SERVICE_ACCOUNT, "default", "default")["metadata"]["uid"] != before["metadata"]["uid"]
    assert kernel.get(CONFIG_MAP, "kube-root-ca.crt", "default")["data"] == {"ca.crt": "CA"}


def test_without_an_authority_there_is_no_certificate(kernel: Kernel) -> None:
    assert kernel.list(CONFIG_MAP).items == []


def test_an_empty_namespace_goes_at_once_with_its_furniture(open_kernel: Callable[..., Kernel]) -> None:
    kernel = open_kernel(b"CA")
    kernel.create(namespace("dev"), options())
    delete(kernel, "dev")
    assert "dev" not in namespaces(kernel)
    assert kernel.list(SERVICE_ACCOUNT, "dev").items == kernel.list(CONFIG_MAP, "dev").items == []


@pytest.mark.parametrize("propagation", list(Propagation))
def test_a_namespace_goes_whatever_the_propagation(kernel: Kernel, propagation: Propagation) -> None:
    kernel.create(namespace("dev"), options())
    owner = kernel.create(config_map("owner", namespace="dev"), options()).object
    kernel.create(config_map("child", namespace="dev", ownerReferences=owned_by(owner)), options())
    delete(kernel, "dev", propagation)
    assert "dev" not in namespaces(kernel)
    assert kernel.list(CONFIG_MAP, "dev").items == []


def test_a_namespace_waits_for_its_pods_to_end_gracefully(kernel: Kernel) -> None:
    kernel.create(namespace("dev"), options())
    running = pod("one", node="here")
    running["metadata"]["namespace"] = "dev"
    kernel.create(running, options())
    delete(kernel, "dev")
    assert kernel.get(NAMESPACE, "dev")["status"]["phase"] == "Terminating"
    with pytest.raises(ForbiddenError, match="unable to create new content in namespace dev"):
        kernel.apply(config_map("late", namespace="dev"), options())
    kernel.delete(POD, "one", "dev", DeleteOptions(grace_period_seconds=0))
    assert "dev" not in namespaces(kernel)


def test_a_finalizer_of_the_namespace_itself_keeps_it(kernel: Kernel) -> None:
    held = namespace("dev")
    held["metadata"]["finalizers"] = ["test/hold"]
    kernel.create(held, options())
    delete(kernel, "dev")
    marked = kernel.get(NAMESPACE, "dev")
    assert marked["spec"].get("finalizers", []) == []
    marked["metadata"]["finalizers"] = []
    kernel.update(marked, options())
    with pytest.raises(ApiNotFoundError):
        kernel.get(NAMESPACE, "dev")


def test_a_client_cannot_take_the_content_s_finalizer_away(kernel: Kernel) -> None:
    created = kernel.create(namespace("dev"), options()).object
    created["spec"]["finalizers"] = []
    created["metadata"]["labels"] = {}
    updated = kernel.update(created, options()).object
    assert updated["spec"]["finalizers"] == ["kubernetes"]
    assert updated["metadata"]["labels"] == {"kubernetes.io/metadata.name": "dev"}


def test_a_namespace_left_half_empty_by_a_crash_is_emptied_when_the_kernel_opens(
    open_kernel: Callable[..., Kernel],
) -> None:
    kernel = open_kernel()
    kernel.create(namespace("dev"), options())
    kernel.create(config_map("left", namespace="dev"), options())
    with kernel._store.transaction():
        record = kernel._store.find_uid(kernel.get(NAMESPACE, "dev")["metadata"]["uid"])
        assert record is not None
        marked = record.parse()
        marked["metadata"] |= {"deletionTimestamp": "2026-01-31T09:30:00Z", "deletionGracePeriodSeconds": 0}
        kernel._store.put(record.key, marked)
    kernel.close()
    assert namespaces(open_kernel()) == ["default", "kube-system"]
