"""Divergences that the differential check has found, each as a fixed case."""

import pytest

from contract.resource_client.worlds import CONFIG_MAP, DEPLOYMENT, SERVICE, World, options
from towpath.kube.errors import (
    AlreadyExistsError,
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    BadRequestError,
    InvalidError,
)
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, FieldValidation, Patch, PatchType

ROLE = GVK("rbac.authorization.k8s.io", "v1", "Role")


def stateful_set(world: World, **spec: object) -> Object:
    wanted = world.deployment()
    wanted["kind"] = "StatefulSet"
    wanted["spec"] |= spec
    return wanted


async def test_annotations_of_a_deployment_count_for_its_generation(world: World) -> None:
    created = await world.client.create(world.deployment(), options())
    changed = await world.merge(DEPLOYMENT, "sensor", {"metadata": {"annotations": {"a": "b"}}})
    assert changed["metadata"]["generation"] == created["metadata"]["generation"] + 1


async def test_an_update_creates_a_role_and_a_service_that_are_not_there(world: World) -> None:
    metadata = {"name": "reader", "namespace": world.namespace}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": []}
    assert (await world.client.update(role, options()))["metadata"]["uid"]
    assert (await world.client.update(world.service(), options()))["spec"]["clusterIP"]
    with pytest.raises(ApiNotFoundError):
        await world.client.update(world.config_map(), options())


async def test_an_applied_configuration_that_does_not_fit_is_the_server_s_error(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["replica"] = 1
    with pytest.raises(ApiError, match=r"\.spec\.replica: field not declared in schema") as caught:
        await world.client.apply(wanted, options(validation=FieldValidation.IGNORE))
    assert caught.value.status()["reason"] == "InternalError"


async def test_applied_twins_of_a_keyed_list_are_named_by_their_key(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}, {"name": "A"}]
    text = r'\(.*; apps/v1, Kind=Deployment\): .*containers\[name="main"\]\.env: duplicate entries for key \[name="A"\]'
    with pytest.raises(ApiError, match=text):
        await world.client.apply(wanted, options())


async def test_created_twins_of_a_keyed_list_are_kept(world: World) -> None:
    wanted = world.deployment()
    twins = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = twins
    created = await world.client.create(wanted, options())
    assert created["spec"]["template"]["spec"]["containers"][0]["env"] == twins


async def test_a_patch_with_an_unknown_field_is_invalid(world: World) -> None:
    await world.client.create(world.deployment(), options())
    with pytest.raises(InvalidError, match=r"unknown field \"spec\.stray\""):
        await world.merge(DEPLOYMENT, "sensor", {"spec": {"stray": 1}})


async def test_a_json_patch_replaces_a_field_that_is_not_there(world: World) -> None:
    await world.client.create(world.config_map(), options())
    patch = Patch(PatchType.JSON, [{"op": "replace", "path": "/metadata/annotations", "value": {"a": "1"}}])
    patched = await world.client.patch(CONFIG_MAP, "settings", world.namespace, patch, options())
    assert patched["metadata"]["annotations"] == {"a": "1"}


async def test_a_job_without_labels_takes_those_of_its_template(world: World) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.test/job:1"}]}}
    metadata = {"name": "migrate", "namespace": world.namespace}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
    created = await world.client.create(job, options())
    assert created["metadata"]["labels"] == created["spec"]["template"]["metadata"]["labels"]


async def test_a_job_with_labels_of_its_own_keeps_them_even_if_its_template_has_the_same(world: World) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.test/job:1"}]}
    template = {"metadata": {"labels": {"a": "1"}}, "spec": pod}
    metadata = {"name": "migrate", "namespace": world.namespace, "labels": {"a": "1"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
    assert (await world.client.create(job, options()))["metadata"]["labels"] == {"a": "1"}


async def test_a_name_taken_by_what_is_being_deleted_is_refused_with_that_reason(world: World) -> None:
    await world.client.create(world.config_map(finalizers=["contract.test/hold"]), options())
    await world.delete(CONFIG_MAP, "settings")
    with pytest.raises(AlreadyExistsError, match=r'^object is being deleted: configmaps "settings" already exists$'):
        await world.client.create(world.config_map(), options())
    await world.merge(CONFIG_MAP, "settings", {"metadata": {"finalizers": None}})


async def test_a_resource_reference_has_a_divisor(world: World) -> None:
    wanted = world.deployment()
    reference = {"resourceFieldRef": {"resource": "limits.cpu"}}
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": reference}]
    env = (await world.client.create(wanted, options()))["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env[0]["valueFrom"]["resourceFieldRef"] == {"resource": "limits.cpu", "divisor": "0"}


async def test_the_update_strategy_of_a_stateful_set_is_filled_in(world: World) -> None:
    spec = (await world.client.create(stateful_set(world), options()))["spec"]
    assert spec["serviceName"] == ""
    assert spec["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"partition": 0, "maxUnavailable": 1},
    }


async def test_what_of_a_stateful_set_is_for_life_is_named_field_by_field(world: World) -> None:
    await world.client.create(stateful_set(world, serviceName="one"), options())
    with pytest.raises(InvalidError) as caught:
        await world.client.update(stateful_set(world, serviceName="two", podManagementPolicy="Parallel"), options())
    assert {cause["field"] for cause in caught.value.causes} == {"spec.serviceName", "spec.podManagementPolicy"}


async def test_nobody_owns_what_the_server_keeps_of_a_service(world: World) -> None:
    config = world.service()
    config["spec"]["clusterIP"] = "None"
    await world.client.apply(config, options("one"))
    replaced = world.service()
    replaced["spec"]["sessionAffinity"] = "None"
    updated = await world.client.update(replaced, options("two"))
    assert updated["spec"]["clusterIP"] == "None"
    owners = [entry["manager"] for entry in updated["metadata"]["managedFields"] if "f:clusterIP" in str(entry)]
    assert owners == []


async def test_a_headless_service_without_selector_may_have_endpoints_of_any_family(world: World) -> None:
    wanted = world.service()
    wanted["spec"] = {"clusterIP": "None", "ports": [{"port": 80}]}
    spec = (await world.client.create(wanted, options()))["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")
    again = await world.merge(SERVICE, "sensor", {"metadata": {"labels": {"a": "b"}}})
    assert again["spec"] == spec


async def test_a_headless_service_that_begins_to_select_needs_one_family(world: World) -> None:
    wanted = world.service()
    wanted["spec"] = {"clusterIP": "None", "ports": [{"port": 80}]}
    await world.client.create(wanted, options())
    with pytest.raises(InvalidError) as caught:
        await world.merge(SERVICE, "sensor", {"spec": {"selector": {"app": "sensor"}}})
    assert "spec.ipFamilyPolicy" in {cause["field"] for cause in caught.value.causes}


async def test_a_null_label_is_an_empty_one(world: World) -> None:
    created = await world.client.create(world.config_map(data={"a": None}, labels={"b": None}), options())  # type: ignore[dict-item]  # what is sent
    assert (created["data"], created["metadata"]["labels"]) == ({"a": ""}, {"b": ""})


async def test_a_null_field_of_an_applied_configuration_is_owned(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["paused"] = None
    applied = await world.client.apply(wanted, options())
    assert "paused" not in applied["spec"]
    assert "f:paused" in applied["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]


async def test_a_conflict_is_told_before_a_value_that_cannot_be_read(world: World) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key", "namespace": world.namespace},
        "data": {"a": "YWJj"},
    }
    await world.client.apply(secret, options("one"))
    secret["data"] = {"a": "no base64"}
    with pytest.raises(ApiConflictError):
        await world.client.apply(secret, options("two"))
    with pytest.raises(ApiError) as caught:
        await world.client.apply(secret, options("two", force=True))
    assert caught.value.status()["reason"] == "InternalError"


async def test_a_patch_that_replaces_all_is_read_before_it_is_compared(world: World) -> None:
    await world.client.create(world.config_map(data={"a": "1"}), options())
    for data, refused in (({"a": "2"}, BadRequestError), ({"a": 2}, InvalidError)):
        patch = Patch(PatchType.STRATEGIC, {"$patch": "replace", "data": data})
        with pytest.raises(refused):
            await world.client.patch(CONFIG_MAP, "settings", world.namespace, patch, options())


async def test_a_quantity_spelled_in_another_way_conflicts_and_is_stored_alike(world: World) -> None:
    wanted = world.deployment()
    resources = wanted["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1024Mi"}}
    await world.client.apply(wanted, options("one"))
    await world.client.apply(wanted, options("one"))
    with pytest.raises(ApiConflictError, match="memory"):
        await world.client.apply(wanted, options("two"))
    resources["limits"]["memory"] = "1Gi"
    applied = await world.client.apply(wanted, options("two"))
    assert applied["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"memory": "1Gi"}}


async def test_a_finalizer_that_is_no_name_is_pointed_at(world: World) -> None:
    with pytest.raises(InvalidError) as caught:
        await world.client.create(world.config_map(finalizers=["contract.test/good", "bad"]), options())
    assert caught.value.causes[0]["field"] == "metadata.finalizers[1]"


async def test_a_subresource_that_a_kind_does_not_have_is_not_found(world: World) -> None:
    await world.client.create(world.config_map(), options())
    with pytest.raises(ApiNotFoundError, match=r"^the server could not find the requested resource$"):
        await world.merge(CONFIG_MAP, "settings", {"status": {}}, subresource="status")


async def test_a_dry_run_that_frees_a_deleted_object_shows_the_version_it_has(world: World) -> None:
    await world.client.create(world.config_map(finalizers=["contract.test/kept"]), options())
    await world.client.delete(CONFIG_MAP, "settings", world.namespace, DeleteOptions())
    before = await world.client.get(CONFIG_MAP, "settings", world.namespace)
    freed = await world.client.update(world.config_map(), options(dry_run=True))
    assert freed["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert await world.client.get(CONFIG_MAP, "settings", world.namespace) == before
    await world.merge(CONFIG_MAP, "settings", {"metadata": {"finalizers": None}})
