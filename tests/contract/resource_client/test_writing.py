import re

import pytest

from contract.resource_client.worlds import CONFIG_MAP, DEPLOYMENT, POD, SERVICE, World, options
from towpath.kube.errors import (
    AlreadyExistsError,
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    BadRequestError,
    InvalidError,
)
from towpath.kube.requests import FieldValidation, Patch, PatchType


async def test_a_created_object_gets_what_the_server_gives(world: World) -> None:
    created = await world.client.create(world.config_map(data={"a": "1"}), options())
    metadata = created["metadata"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["uid"]
    assert metadata["resourceVersion"]
    assert await world.get(CONFIG_MAP, "settings") == created


async def test_what_only_the_server_may_set_is_ignored_on_creation(world: World) -> None:
    wanted = world.deployment()
    wanted["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7}
    metadata = (await world.client.create(wanted, options()))["metadata"]
    assert metadata["uid"] != "mine"
    assert metadata["creationTimestamp"] > "2020"
    assert metadata["generation"] == 1


async def test_the_generation_of_a_kind_that_is_not_counted_is_whoever_creates_it_s(world: World) -> None:
    created = await world.client.create(world.config_map(generation=7), options())
    updated = await world.client.update(world.config_map(data={"a": "1"}, generation=9), options())
    assert (created["metadata"]["generation"], updated["metadata"]["generation"]) == (7, 7)


async def test_a_taken_name_is_refused(world: World) -> None:
    await world.client.create(world.config_map(), options())
    with pytest.raises(AlreadyExistsError, match=r'^configmaps "settings" already exists$'):
        await world.client.create(world.config_map(), options())


async def test_creating_with_a_resource_version_is_refused(world: World) -> None:
    with pytest.raises(ApiError, match="resourceVersion should not be set on objects to be created") as caught:
        await world.client.create(world.config_map(resourceVersion="1"), options())
    assert caught.value.status()["reason"] == "InternalError"


async def test_generated_names_extend_their_prefix_and_differ(world: World) -> None:
    wanted = world.config_map(generateName="run-")
    del wanted["metadata"]["name"]
    names = {(await world.client.create(wanted, options()))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"run-[a-z0-9]{5}", name) for name in names)


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254, ""])
async def test_a_name_that_breaks_the_rules_is_invalid(world: World, name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        await world.client.create(world.config_map(name), options())
    assert "metadata.name" in caught.value.causes[0]["field"]


async def test_nothing_is_created_in_a_namespace_that_does_not_exist(world: World) -> None:
    wanted = world.config_map()
    wanted["metadata"]["namespace"] = "nowhere"
    with pytest.raises(ApiNotFoundError, match=r'^namespaces "nowhere" not found$'):
        await world.client.create(wanted, options())


async def test_null_fields_are_absent_fields(world: World) -> None:
    wanted = world.config_map(data={"a": "1"}, creationTimestamp=None, annotations=None)
    created = await world.client.create(wanted, options())
    assert "annotations" not in created["metadata"]


async def test_an_update_under_an_old_version_conflicts_and_changes_nothing(world: World) -> None:
    first = await world.client.create(world.config_map(data={"a": "1"}), options())
    await world.merge(CONFIG_MAP, "settings", {"data": {"a": "2"}})
    with pytest.raises(ApiConflictError) as caught:
        await world.client.update({**first, "data": {"a": "3"}}, options())
    assert caught.value.message == (
        'Operation cannot be fulfilled on configmaps "settings": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert (await world.get(CONFIG_MAP, "settings"))["data"] == {"a": "2"}


async def test_an_update_replaces_the_whole_object(world: World) -> None:
    created = await world.client.create(world.config_map(data={"a": "1", "b": "2"}, labels={"x": "y"}), options())
    replaced = await world.client.update(world.config_map(data={"c": "3"}), options())
    assert replaced["data"] == {"c": "3"}
    assert "labels" not in replaced["metadata"]
    assert replaced["metadata"]["uid"] == created["metadata"]["uid"]
    assert replaced["metadata"]["creationTimestamp"] == created["metadata"]["creationTimestamp"]


async def test_an_update_of_another_uid_conflicts(world: World) -> None:
    created = await world.client.create(world.config_map(), options())
    created["metadata"] = {**created["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}
    with pytest.raises(ApiConflictError, match="Precondition failed: UID in precondition"):
        await world.client.update(created, options())


async def test_updating_what_does_not_exist_is_not_found(world: World) -> None:
    with pytest.raises(ApiNotFoundError):
        await world.client.update(world.config_map(), options())


async def test_writes_that_change_nothing_keep_the_version(world: World) -> None:
    # A Service: it has defaults and an address, and no controller writes to it.
    created = await world.client.create(world.service(), options())
    version = created["metadata"]["resourceVersion"]
    updated = await world.client.update(created, options())
    patched = await world.merge(SERVICE, "sensor", {"spec": {"selector": {"app": "sensor"}}})
    assert updated["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"] == version


async def test_the_generation_counts_changes_of_the_spec_only(world: World) -> None:
    await world.client.create(world.deployment(), options())

    async def generation(body: dict[str, object], subresource: str = "") -> int:
        changed = await world.merge(DEPLOYMENT, "sensor", body, subresource=subresource)
        return int(changed["metadata"]["generation"])

    assert await generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert await generation({"status": {"observedGeneration": 1}}, "status") == 1
    assert await generation({"spec": {"paused": True}}) == 2
    assert await generation({"spec": {"paused": True}}) == 2


async def test_status_and_the_rest_are_written_apart(world: World) -> None:
    wanted = {**world.deployment(), "status": {"observedGeneration": 9}}
    created = await world.client.create(wanted, options())
    assert created.get("status", {}).get("observedGeneration") != 9
    through_main = await world.merge(DEPLOYMENT, "sensor", {"status": {"observedGeneration": 8}})
    assert through_main.get("status", {}).get("observedGeneration") != 8
    body = {"status": {"observedGeneration": 1}, "spec": {"replicas": 5}}
    through_status = await world.merge(DEPLOYMENT, "sensor", body, subresource="status")
    assert through_status["status"]["observedGeneration"] == 1
    assert through_status["spec"]["replicas"] == 0
    updated = await world.client.update(world.deployment(), options())
    assert updated["status"]["observedGeneration"] == 1


async def test_scale_is_a_view_of_the_replicas(world: World) -> None:
    created = await world.client.create(world.deployment(), options())
    scale = await world.merge(DEPLOYMENT, "sensor", {"spec": {"replicas": 3}}, subresource="scale")
    assert (scale["apiVersion"], scale["kind"], scale["spec"]) == ("autoscaling/v1", "Scale", {"replicas": 3})
    assert scale["status"]["selector"] == "app=sensor"
    deployment = await world.get(DEPLOYMENT, "sensor")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["metadata"]["generation"] == created["metadata"]["generation"] + 1


async def test_a_json_patch_may_test_before_it_changes(world: World) -> None:
    await world.client.create(world.config_map(data={"a": "1"}), options())
    steps = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "2"}]
    patch = Patch(PatchType.JSON, steps)
    patched = await world.client.patch(CONFIG_MAP, "settings", world.namespace, patch, options())
    assert patched["data"] == {"a": "2"}
    with pytest.raises(InvalidError):
        await world.client.patch(CONFIG_MAP, "settings", world.namespace, patch, options())


async def test_a_merge_patch_removes_what_is_null(world: World) -> None:
    await world.client.create(world.config_map(data={"a": "1", "b": "2"}), options())
    patched = await world.merge(CONFIG_MAP, "settings", {"data": {"a": None, "c": "3"}})
    assert patched["data"] == {"b": "2", "c": "3"}


async def test_a_strategic_patch_merges_lists_by_key(world: World) -> None:
    await world.client.create(world.deployment(), options())
    body = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "registry.test/side:1"}]}}}}
    patch = Patch(PatchType.STRATEGIC, body)
    patched = await world.client.patch(DEPLOYMENT, "sensor", world.namespace, patch, options())
    assert {item["name"] for item in patched["spec"]["template"]["spec"]["containers"]} == {"main", "side"}


async def test_a_patch_under_an_old_version_conflicts(world: World) -> None:
    created = await world.client.create(world.config_map(data={"a": "1"}), options())
    await world.merge(CONFIG_MAP, "settings", {"data": {"a": "2"}})
    version = created["metadata"]["resourceVersion"]
    with pytest.raises(ApiConflictError):
        await world.merge(CONFIG_MAP, "settings", {"metadata": {"resourceVersion": version}, "data": {"a": "3"}})


async def test_a_dry_run_shows_the_result_and_keeps_nothing(world: World) -> None:
    dry = options(dry_run=True)
    created = await world.client.create(world.deployment(), dry)
    assert created["spec"]["strategy"]["type"] == "RollingUpdate"
    assert "resourceVersion" not in created["metadata"]
    assert await world.is_gone(DEPLOYMENT, "sensor")
    stored = await world.client.create(world.service(), options())
    patch = Patch(PatchType.MERGE, {"spec": {"selector": {"app": "other"}}})
    patched = await world.client.patch(SERVICE, "sensor", world.namespace, patch, dry)
    assert patched["spec"]["selector"] == {"app": "other"}
    assert patched["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert await world.get(SERVICE, "sensor") == stored


async def test_a_dry_run_counts_the_generation_it_would_have(world: World) -> None:
    stored = await world.client.create(world.deployment(), options())
    patch = Patch(PatchType.MERGE, {"spec": {"paused": True}})
    patched = await world.client.patch(DEPLOYMENT, "sensor", world.namespace, patch, options(dry_run=True))
    assert patched["metadata"]["generation"] == stored["metadata"]["generation"] + 1
    assert (await world.get(DEPLOYMENT, "sensor"))["metadata"]["generation"] == stored["metadata"]["generation"]


async def test_unknown_fields_are_refused_when_validation_is_strict(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["replica"] = 1
    with pytest.raises(BadRequestError, match=r'strict decoding error: unknown field "spec\.replica"'):
        await world.client.create(wanted, options())


@pytest.mark.parametrize("validation", [FieldValidation.IGNORE, FieldValidation.WARN])
async def test_unknown_fields_are_dropped_when_validation_is_not_strict(
    world: World, validation: FieldValidation
) -> None:
    wanted = world.deployment()
    wanted["spec"]["replica"] = 1
    created = await world.client.create(wanted, options(validation=validation))
    assert "replica" not in created["spec"]


async def test_a_wrong_type_is_refused_whatever_the_validation(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["replicas"] = "three"
    with pytest.raises(BadRequestError, match=r'Deployment in version "v1" cannot be handled as a Deployment'):
        await world.client.create(wanted, options(validation=FieldValidation.IGNORE))


async def test_quantities_are_stored_in_canonical_form(world: World) -> None:
    wanted = world.deployment()
    limits = {"cpu": "0.5", "memory": "1024Mi"}
    wanted["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
    created = await world.client.create(wanted, options())
    resources = created["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources["limits"] == {"cpu": "500m", "memory": "1Gi"}


async def test_defaults_are_filled_in(world: World) -> None:
    spec = (await world.client.create(world.deployment(), options()))["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    assert spec["revisionHistoryLimit"] == 10
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert spec["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


async def test_an_invalid_object_names_every_fault_with_its_field(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["replicas"] = -1
    wanted["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    with pytest.raises(InvalidError, match=r'^Deployment\.apps "sensor" is invalid: \[') as caught:
        await world.client.create(wanted, options())
    assert {"spec.replicas", "spec.template.metadata.labels"} <= {cause["field"] for cause in caught.value.causes}


async def test_a_selector_cannot_be_changed(world: World) -> None:
    await world.client.create(world.deployment(), options())
    changed = world.deployment()
    changed["spec"]["selector"]["matchLabels"] = {"app": "other"}
    changed["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with pytest.raises(InvalidError, match="field is immutable") as caught:
        await world.client.update(changed, options())
    assert caught.value.causes[0]["field"] == "spec.selector"


async def test_a_service_gets_an_address_and_keeps_it(world: World) -> None:
    wanted = world.service()
    created = await world.client.create(wanted, options())
    address = created["spec"]["clusterIP"]
    assert created["spec"]["clusterIPs"] == [address]
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", address)
    updated = await world.client.update({**wanted, "spec": {**created["spec"], "selector": {"app": "x"}}}, options())
    assert updated["spec"]["clusterIP"] == address
    with pytest.raises(InvalidError, match="may not change once set"):
        await world.merge(SERVICE, "sensor", {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}})


async def test_a_headless_service_has_no_address(world: World) -> None:
    wanted = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "sensor", "namespace": world.namespace},
        "spec": {"clusterIP": "None", "selector": {"app": "sensor"}, "ports": [{"port": 80}]},
    }
    created = await world.client.create(wanted, options())
    assert created["spec"]["clusterIPs"] == ["None"]


async def test_a_job_selects_its_pods_by_its_own_uid(world: World) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.test/job:1"}]}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "namespace": world.namespace},
        "spec": {"suspend": True, "template": template},
    }
    created = await world.client.create(job, options())
    uid = created["metadata"]["uid"]
    assert created["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = created["spec"]["template"]["metadata"]["labels"]
    assert labels["batch.kubernetes.io/controller-uid"] == uid
    assert labels["batch.kubernetes.io/job-name"] == labels["job-name"] == "migrate"


async def test_a_pod_begins_as_pending(world: World) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": world.namespace},
        # A scheduler that does not exist: nobody binds the pod.
        "spec": {"schedulerName": "none", "containers": [{"name": "main", "image": "registry.test/one:1"}]},
    }
    created = await world.client.create(pod, options())
    assert created["status"]["phase"] == "Pending"
    assert created["spec"]["serviceAccountName"] == "default"
    await world.delete(POD, "one")
    assert await world.is_gone(POD, "one")


async def test_a_zero_value_is_no_value(world: World) -> None:
    wanted = world.deployment()
    wanted["spec"]["minReadySeconds"] = 0
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": ""}]
    spec = (await world.client.create(wanted, options()))["spec"]
    assert "minReadySeconds" not in spec
    assert spec["template"]["spec"]["containers"][0]["env"] == [{"name": "A"}]


@pytest.mark.parametrize(
    "status",
    [
        {"replicas": -1},
        {"replicas": 1, "readyReplicas": 2},
        {"replicas": 2, "readyReplicas": 1, "availableReplicas": 2},
    ],
)
async def test_a_status_with_counts_that_cannot_be_is_invalid(world: World, status: dict[str, int]) -> None:
    await world.client.create(world.deployment(), options())
    with pytest.raises(InvalidError):
        await world.merge(DEPLOYMENT, "sensor", {"status": status}, subresource="status")
