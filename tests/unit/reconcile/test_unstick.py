from typing import Any

import pytest

from towpath.kube.objects import Object
from towpath.reconcile.unstick import find_stuck_pods


def stateful_set(**spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "sensor", "namespace": "dev", "generation": 2},
        "spec": {"selector": {"matchLabels": {"app": "sensor"}}, **spec},
        "status": {"observedGeneration": 2, "updateRevision": "new"},
    }


def pod(ordinal: int, *, revision: str = "old", ready: bool = False, **metadata: Any) -> Object:
    labels = {"app": "sensor", "controller-revision-hash": revision}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"sensor-{ordinal}", "namespace": "dev", "labels": labels, **metadata},
        "status": {"conditions": [condition]},
    }


def stuck(owner: Object, *pods: Object) -> list[str]:
    return [found["metadata"]["name"] for found in find_stuck_pods(owner, pods)]


def test_pods_of_an_older_revision_that_are_not_ready_are_stuck_highest_first() -> None:
    assert stuck(stateful_set(), pod(0), pod(2), pod(10)) == ["sensor-10", "sensor-2", "sensor-0"]


def test_ready_new_and_ending_pods_are_not() -> None:
    ending = pod(2, deletionTimestamp="2026-01-31T09:30:00Z")
    assert stuck(stateful_set(), pod(0, ready=True), pod(1, revision="new"), ending) == []


def test_a_set_whose_change_was_not_seen_yet_is_left_alone() -> None:
    unseen = stateful_set()
    unseen["metadata"]["generation"] = 3
    assert stuck(unseen, pod(0)) == []


@pytest.mark.parametrize(
    "spec",
    [{"podManagementPolicy": "Parallel"}, {"updateStrategy": {"type": "OnDelete"}}],
    ids=["parallel", "on delete"],
)
def test_sets_that_cannot_block_are_left_alone(spec: dict[str, Any]) -> None:
    assert stuck(stateful_set(**spec), pod(0)) == []


def test_pods_below_the_partition_are_meant_to_be_old() -> None:
    spec = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
    assert stuck(stateful_set(**spec), pod(0), pod(1)) == ["sensor-1"]
