"""Where the embedded cluster differs from Kubernetes on purpose. docs/conformance.md is generated from the reasons.

A test here passes on a real Kubernetes. On the embedded cluster it must fail, with the very error that the mark
names: the day it passes, the mark goes.
"""

import pytest

from contract.resource_client.worlds import World, eventually, options
from towpath.kube.errors import ApiNotFoundError, InvalidError
from towpath.kube.objects import GVK
from towpath.kube.requests import DeleteOptions, FieldValidation

CRD = GVK("apiextensions.k8s.io", "v1", "CustomResourceDefinition")


@pytest.mark.differs(
    "Custom resources are not served: Towpath itself needs none (no CRD is part of its own design).",
    raises=pytest.RaisesExc(ApiNotFoundError, match='no matches for kind "CustomResourceDefinition"'),
)
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


@pytest.mark.differs(
    "No node ports are handed out: Services listen on the loopback interface (a warning says so).",
    raises=pytest.RaisesExc(AssertionError, match="no node port"),
)
async def test_a_service_of_type_node_port_gets_one(world: World) -> None:
    wanted = world.service()
    wanted["spec"]["type"] = "NodePort"
    (port,) = (await world.client.create(wanted, options()))["spec"]["ports"]
    assert "nodePort" in port, "no node port"
    assert port["nodePort"] >= 30000


@pytest.mark.differs(
    "Persistent volumes do not exist: a StatefulSet with claims is refused rather than losing data.",
    raises=pytest.RaisesExc(InvalidError, match="volumeClaimTemplates: Forbidden: .* has no persistent volumes"),
)
async def test_a_stateful_set_may_claim_volumes(world: World) -> None:
    wanted = world.deployment()
    wanted["kind"] = "StatefulSet"
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    wanted["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    assert (await world.client.create(wanted, options()))["metadata"]["uid"]


@pytest.mark.differs(
    "Privileged containers are refused: the sandbox has no privileges to give.",
    raises=pytest.RaisesExc(InvalidError, match="privileged: Forbidden: containers cannot be privileged"),
)
async def test_a_container_may_be_privileged(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert (await world.client.create(wanted, options()))["metadata"]["uid"]
