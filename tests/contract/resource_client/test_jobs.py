"""What may change of a Job, and what its status may say.

The Jobs here are suspended, so that no controller has pods to make, or are looked after by nobody (`managedBy` is not
served by the embedded cluster): where the status is written by the test, a real Job controller leaves it alone.
"""

from typing import Any

import pytest

from contract.resource_client.worlds import World, options
from towpath.kube.errors import InvalidError
from towpath.kube.objects import GVK, Object

JOB = GVK("batch", "v1", "Job")


def suspended(world: World, **pod: Any) -> Object:
    template = {
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.test/job:1"}], **pod}
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "namespace": world.namespace},
        "spec": {"suspend": True, "template": template},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"annotations": {"a": "1"}}},
        {"spec": {"nodeSelector": {"disk": "fast"}}},
        {"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}},
        {
            "spec": {
                "containers": [
                    {"name": "main", "image": "registry.test/job:1", "resources": {"limits": {"cpu": "500m"}}}
                ]
            }
        },
    ],
    ids=["labels", "annotations", "node selector", "tolerations", "resources"],
)
async def test_the_template_of_a_suspended_job_may_change_where_its_pods_go_and_what_they_use(
    world: World, change: dict[str, Any]
) -> None:
    created = await world.client.create(suspended(world), options())
    patched = await world.merge(JOB, "migrate", {"spec": {"template": change}})
    assert patched["spec"]["template"] != created["spec"]["template"]
    assert patched["metadata"]["generation"] == created["metadata"]["generation"] + 1


@pytest.mark.parametrize(
    "change",
    [
        {"containers": [{"name": "main", "image": "registry.test/job:2"}]},
        {"containers": [{"name": "other", "image": "registry.test/job:1"}]},
        {"restartPolicy": "OnFailure"},
        {"dnsPolicy": "Default"},
    ],
    ids=["image", "container", "restart policy", "dns policy"],
)
async def test_what_the_pods_of_a_suspended_job_run_is_for_life(world: World, change: dict[str, Any]) -> None:
    await world.client.create(suspended(world), options())
    with pytest.raises(InvalidError, match="field is immutable"):
        await world.merge(JOB, "migrate", {"spec": {"template": {"spec": change}}})


async def test_the_template_of_a_job_that_is_not_suspended_is_for_life(world: World) -> None:
    running = suspended(world, schedulerName="none")  # a scheduler that does not exist: nobody binds the pod
    running["spec"]["suspend"] = False
    await world.client.create(running, options())
    with pytest.raises(InvalidError, match="field is immutable") as caught:
        await world.merge(JOB, "migrate", {"spec": {"template": {"metadata": {"labels": {"a": "1"}}}}})
    assert {cause["field"] for cause in caught.value.causes} == {"spec.template"}


@pytest.mark.parametrize(
    "status",
    [
        {"active": -1},
        {"ready": 1},
        {"completionTime": "2026-01-31T09:30:00Z"},
        {"conditions": [{"type": "Complete", "status": "True"}]},
        {"conditions": [{"type": "Failed", "status": "True"}]},
        {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "FailureTarget", "status": "True"}]},
    ],
    ids=["negative", "ready but not active", "ended without a verdict", "complete", "failed", "both"],
)
async def test_a_job_s_status_that_cannot_be_is_invalid(world: World, status: dict[str, Any]) -> None:
    await world.client.create(suspended(world), options())
    with pytest.raises(InvalidError):
        await world.merge(JOB, "migrate", {"status": status}, subresource="status")
