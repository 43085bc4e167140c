"""Where the embedded cluster differs from Kubernetes on purpose. docs/conformance.md is generated from the reasons.

A test here passes on a real Kubernetes. On the embedded cluster it must fail: the day it passes, the mark goes.
"""

import pytest

from contract.resource_client.worlds import World, eventually, options
from towpath.kube.errors import ApiNotFoundError, InvalidError
from towpath.kube.objects import GVK
from towpath.kube.requests import DeleteOptions, FieldValidation

CRD = GVK("apiextensions.k8s.io", "v1", "CustomResourceDefinition")


@pytest.mark.differs("Custom resources are not served: Towpath itself needs none (no CRD is part of its own design).")
async def test_a_custom_resource_is_pruned_and_filled_in_by_its_definition(world: World) -> None:
    group = f"{world.namespace}.test"
    size = {"type": "integer", "default": 3}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": size}}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    await world.client.create(definition, options())
    kind = GVK(group, "v1", "Widget")

    async def is_served() -> bool:
        try:
            await world.client.list(kind, world.namespace)
        except ApiNotFoundError:
            return False
        return True

    await eventually(is_served)
    widget = {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": "one", "namespace": world.namespace},
        "spec": {"stray": 1},
    }
    created = await world.client.create(widget, options(validation=FieldValidation.IGNORE))
    assert created["spec"] == {"size": 3}
    await world.client.delete(CRD, f"widgets.{group}", "", DeleteOptions())


@pytest.mark.differs("Zero values are kept as they were sent; upstream drops those of fields that cannot be null.")
async def test_a_zero_value_is_no_value(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["minReadySeconds"] = 0
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": ""}]
    spec = (await world.client.create(wanted, options()))["spec"]
    assert "minReadySeconds" not in spec
    assert spec["template"]["spec"]["containers"][0]["env"] == [{"name": "A"}]


@pytest.mark.differs("No node ports are handed out: Services listen on the loopback interface (a warning says so).")
async def test_a_service_of_type_node_port_gets_one(world: World) -> None:
    wanted = world.service()
    wanted["spec"]["type"] = "NodePort"
    assert (await world.client.create(wanted, options()))["spec"]["ports"][0]["nodePort"] >= 30000


@pytest.mark.differs("Persistent volumes do not exist: a StatefulSet with claims is refused rather than losing data.")
async def test_a_stateful_set_may_claim_volumes(world: World) -> None:
    wanted = world.deployment()
    wanted["kind"] = "StatefulSet"
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    wanted["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    assert (await world.client.create(wanted, options()))["metadata"]["uid"]


@pytest.mark.differs("Privileged containers are refused: the sandbox has no privileges to give.")
async def test_a_container_may_be_privileged(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert (await world.client.create(wanted, options()))["metadata"]["uid"]


@pytest.mark.differs("A status is stored as its controller writes it; only its types are checked.")
async def test_a_status_is_validated(world: World) -> None:
    await world.client.create(world.deployment(), options())
    with pytest.raises(InvalidError):
        await world.merge(GVK("apps", "v1", "Deployment"), "sensor", {"status": {"replicas": -1}}, subresource="status")


@pytest.mark.differs("The template of a suspended Job is for life too; upstream lets labels and placement change.")
async def test_the_template_of_a_suspended_job_may_change_its_labels(world: World) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.test/job:1"}]}}
    metadata = {"name": "migrate", "namespace": world.namespace}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"suspend": True, "template": template},
    }
    await world.client.create(job, options())
    patched = await world.merge(
        GVK("batch", "v1", "Job"), "migrate", {"spec": {"template": {"metadata": {"labels": {"a": "1"}}}}}
    )
    assert patched["spec"]["template"]["metadata"]["labels"]["a"] == "1"
