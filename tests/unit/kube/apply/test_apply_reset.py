"""Fields a write cannot touch, and objects before anyone wrote them."""

from towpath.kube.apply.reset import reset_fields, restore_reset_fields
from towpath.kube.apply.zero import zero_object
from towpath.kube.objects import GVK
from towpath.kube.resources import RESOURCES
from towpath.kube.schema import Schema

DEPLOYMENT = GVK("apps", "v1", "Deployment")


def test_status_is_out_of_reach_of_the_object_and_spec_of_status() -> None:
    assert reset_fields(DEPLOYMENT, "") == {("f:status",)}
    assert reset_fields(DEPLOYMENT, "status") == {("f:spec",), ("f:metadata", "f:labels")}
    assert reset_fields(GVK("", "v1", "ConfigMap"), "") == frozenset()


def test_restoring_takes_the_live_value_or_its_absence() -> None:
    head = {"apiVersion": "apps/v1", "kind": "Deployment"}
    live = {**head, "metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"replicas": 1}}
    new = {**head, "metadata": {"name": "a", "labels": {"x": "2"}}, "spec": {"replicas": 2}, "status": {"replicas": 2}}
    main = restore_reset_fields(new, live)
    assert "status" not in main
    assert main["spec"] == {"replicas": 2}
    status = restore_reset_fields(new, live, "status")
    assert status["spec"] == {"replicas": 1}
    assert status["metadata"]["labels"] == {"x": "1"}
    assert status["status"] == {"replicas": 2}
    assert new["metadata"] == {"name": "a", "labels": {"x": "2"}}


def test_a_new_object_has_no_status() -> None:
    obj = {"apiVersion": "v1", "kind": "Pod", "spec": {}, "status": {"phase": "Running"}}
    assert "status" not in restore_reset_fields(obj, None)


def test_every_zero_object_fits_its_schema(schema: Schema) -> None:
    for resource in RESOURCES:
        assert schema.problems(zero_object(resource.gvk)) == []
