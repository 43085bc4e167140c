import pytest

from fakes.manifests import CONFIG_MAP, DEPLOYMENT, config_map, deployment, options
from towpath.cluster.kernel import Kernel
from towpath.cluster.kernel.scale import scale_of, scaled
from towpath.kube.errors import ApiConflictError, ApiNotFoundError, BadRequestError, InvalidError
from towpath.kube.requests import Patch, PatchType


def test_a_scale_has_the_selector_in_its_text_form() -> None:
    obj = deployment("sensor")
    obj["spec"]["selector"]["matchExpressions"] = [
        {"key": "tier", "operator": "In", "values": ["b", "a"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["x"]},
    ]
    assert scale_of(obj)["status"] == {
        "replicas": 0,
        "selector": "app=sensor,tier in (a,b),!old,new,zone notin (x)",
    }


def test_reading_a_scale(kernel: Kernel) -> None:
    created = kernel.create(deployment("sensor", replicas=2), options()).object
    scale = kernel.get(DEPLOYMENT, "sensor", "default", subresource="scale")
    assert scale["spec"] == {"replicas": 2}
    assert scale["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


def test_replacing_a_scale_respects_its_version(kernel: Kernel) -> None:
    kernel.create(deployment("sensor"), options())
    scale = kernel.get(DEPLOYMENT, "sensor", "default", subresource="scale")
    scale["spec"]["replicas"] = 4
    written = kernel.update_scale(DEPLOYMENT, scale, options())
    assert written.object["spec"] == {"replicas": 4}
    with pytest.raises(ApiConflictError):
        kernel.update_scale(DEPLOYMENT, scale, options())


def test_scaling_is_credited_to_the_scale_subresource(kernel: Kernel) -> None:
    kernel.create(deployment("sensor"), options("one"))
    patch = Patch(PatchType.MERGE, {"spec": {"replicas": 4}})
    kernel.patch(DEPLOYMENT, "sensor", "default", patch, options("kubectl", subresource="scale"))
    entries = kernel.get(DEPLOYMENT, "sensor", "default")["metadata"]["managedFields"]
    assert {entry["manager"]: entry.get("subresource") for entry in entries} == {"one": None, "kubectl": "scale"}


@pytest.mark.parametrize("replicas", [-1, "three", 1.5, True])
def test_replicas_must_be_a_count(replicas: object) -> None:
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}, "spec": {"replicas": replicas}}
    with pytest.raises(InvalidError, match=r"spec\.replicas: Invalid value"):
        scaled(deployment("sensor"), scale)


def test_another_kind_is_no_scale() -> None:
    with pytest.raises(BadRequestError, match="expected autoscaling/v1 Scale, got v1 ConfigMap"):
        scaled(deployment("sensor"), config_map("a"))


def test_a_kind_that_does_not_scale_has_no_such_subresource(kernel: Kernel) -> None:
    kernel.create(config_map("a"), options())
    with pytest.raises(ApiNotFoundError, match="could not find the requested resource"):
        kernel.get(CONFIG_MAP, "a", "default", subresource="scale")
