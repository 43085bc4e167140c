import pytest

from fakes.clock import VirtualClock
from fakes.manifests import NAMESPACE, POD, options, pod
from towpath.aio.clock import format_rfc3339
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import ApiNotFoundError, ForbiddenError
from towpath.kube.requests import DeleteOptions


def delete(kernel: Kernel, grace_seconds: int | None = None) -> bool:
    """Whether the pod was removed at once."""
    return kernel.delete(POD, "one", "default", DeleteOptions(grace_period_seconds=grace_seconds)).removed


def test_a_pod_on_a_node_gets_its_grace_period_and_lives_until_the_agent_ends_it(
    kernel: Kernel, clock: VirtualClock
) -> None:
    kernel.create(pod("one", node="here", grace_seconds=20), options())
    assert not delete(kernel)
    metadata = kernel.get(POD, "one", "default")["metadata"]
    assert metadata["deletionTimestamp"] == format_rfc3339(clock.now() + 20)
    assert metadata["deletionGracePeriodSeconds"] == 20
    assert metadata["generation"] == 2
    assert delete(kernel, grace_seconds=0)
    with pytest.raises(ApiNotFoundError):
        kernel.get(POD, "one", "default")


def test_a_pod_without_a_node_goes_at_once(kernel: Kernel) -> None:
    kernel.create(pod("one"), options())
    assert delete(kernel)


def test_a_finished_pod_goes_at_once(kernel: Kernel) -> None:
    created = kernel.create(pod("one", node="here"), options()).object
    created["status"]["phase"] = "Succeeded"
    kernel.update(created, options(subresource="status"))
    assert delete(kernel)


def test_a_second_deletion_may_shorten_the_grace_period_but_not_lengthen_it(kernel: Kernel) -> None:
    kernel.create(pod("one", node="here"), options())
    seconds = []
    for grace in (10, 60, 3):
        delete(kernel, grace_seconds=grace)
        seconds.append(kernel.get(POD, "one", "default")["metadata"]["deletionGracePeriodSeconds"])
    assert seconds == [10, 10, 3]


def test_a_pod_with_a_finalizer_outlives_the_agent(kernel: Kernel) -> None:
    kernel.create(pod("one", node="here", finalizers=["test/hold"]), options())
    delete(kernel)
    assert not delete(kernel, grace_seconds=0)
    held = kernel.get(POD, "one", "default")
    del held["metadata"]["finalizers"]
    assert kernel.update(held, options()).removed


def test_a_terminating_pod_still_reports_its_status(kernel: Kernel) -> None:
    kernel.create(pod("one", node="here"), options())
    delete(kernel)
    current = kernel.get(POD, "one", "default")
    current["status"]["phase"] = "Failed"
    written = kernel.update(current, options(subresource="status"))
    assert (written.removed, written.object["status"]["phase"]) == (False, "Failed")


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_the_first_namespaces_cannot_be_deleted(kernel: Kernel, name: str) -> None:
    with pytest.raises(ForbiddenError, match=f'namespaces "{name}" is forbidden: this namespace may not be deleted'):
        kernel.delete(NAMESPACE, name, "", DeleteOptions())
