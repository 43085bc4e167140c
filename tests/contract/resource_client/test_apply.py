import pytest

from contract.resource_client.worlds import CONFIG_MAP, DEPLOYMENT, World, options
from towpath.kube.errors import ApiConflictError, ApiNotFoundError, BadRequestError
from towpath.kube.objects import Object
from towpath.kube.requests import Patch, PatchType


def managers(obj: Object) -> dict[str, str]:
    """Operation by manager."""
    return {entry["manager"]: entry["operation"] for entry in obj["metadata"].get("managedFields", [])}


async def test_applying_creates_what_does_not_exist(world: World) -> None:
    applied = await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    assert applied["data"] == {"a": "1"}
    (entry,) = applied["metadata"]["managedFields"]
    assert {key: entry[key] for key in ("manager", "operation", "apiVersion", "fieldsType")} == {
        "manager": "one",
        "operation": "Apply",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
    }
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}


async def test_applying_the_same_again_changes_nothing(world: World) -> None:
    first = await world.client.apply(world.service(), options("one"))
    assert await world.client.apply(world.service(), options("one")) == first


async def test_managers_own_what_they_apply_side_by_side(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    applied = await world.client.apply(world.config_map(data={"b": "2"}), options("two"))
    assert applied["data"] == {"a": "1", "b": "2"}
    assert managers(applied) == {"one": "Apply", "two": "Apply"}


async def test_a_field_of_another_manager_is_a_conflict_that_names_manager_and_field(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    with pytest.raises(ApiConflictError) as caught:
        await world.client.apply(world.config_map(data={"a": "2"}), options("two"))
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    assert caught.value.causes == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}
    ]
    assert (await world.get(CONFIG_MAP, "settings"))["data"] == {"a": "1"}


async def test_a_field_written_by_an_update_conflicts_too(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    patch = Patch(PatchType.MERGE, {"data": {"a": "2"}})
    await world.client.patch(CONFIG_MAP, "settings", world.namespace, patch, options("kubectl-edit"))
    with pytest.raises(ApiConflictError, match=r'conflict with "kubectl-edit" using v1: \.data\.a'):
        await world.client.apply(world.config_map(data={"a": "1"}), options("one"))


async def test_several_conflicts_are_all_named(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1", "b": "1"}), options("one"))
    await world.client.apply(world.config_map(data={"c": "1"}), options("three"))
    with pytest.raises(ApiConflictError, match="Apply failed with 3 conflicts") as caught:
        await world.client.apply(world.config_map(data={"a": "2", "b": "2", "c": "2"}), options("two"))
    # By manager; which manager comes first is chance.
    assert sorted(cause["field"] for cause in caught.value.causes) == [".data.a", ".data.b", ".data.c"]


async def test_force_takes_the_field_from_its_owner(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    applied = await world.client.apply(world.config_map(data={"a": "2"}), options("two", force=True))
    assert applied["data"] == {"a": "2"}
    assert managers(applied) == {"two": "Apply"}


async def test_agreeing_on_a_value_shares_it_and_it_stays_until_both_let_go(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    shared = await world.client.apply(world.config_map(data={"a": "1"}), options("two"))
    assert managers(shared) == {"one": "Apply", "two": "Apply"}
    without_one = await world.client.apply(world.config_map(data={}), options("one"))
    assert without_one["data"] == {"a": "1"}
    without_both = await world.client.apply(world.config_map(data={}), options("two"))
    assert not without_both.get("data")


async def test_what_a_manager_no_longer_applies_is_removed(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1", "b": "2"}, labels={"x": "y"}), options("one"))
    applied = await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    assert applied["data"] == {"a": "1"}
    assert "labels" not in applied["metadata"]


async def test_a_field_another_manager_wrote_survives_an_apply_without_it(world: World) -> None:
    applied = world.deployment()
    del applied["spec"]["replicas"]
    await world.client.apply(applied, options("one"))
    await world.merge(DEPLOYMENT, "sensor", {"spec": {"replicas": 3}}, subresource="scale")
    again = await world.client.apply(applied, options("one"))
    assert again["spec"]["replicas"] == 3


async def test_defaults_belong_to_nobody(world: World) -> None:
    applied = await world.client.apply(world.deployment(), options("one"))
    (entry,) = applied["metadata"]["managedFields"]
    assert applied["spec"]["revisionHistoryLimit"] == 10
    assert "f:revisionHistoryLimit" not in entry["fieldsV1"]["f:spec"]


async def test_items_of_a_keyed_list_have_owners_of_their_own(world: World) -> None:
    await world.client.apply(world.deployment(), options("one"))
    side = world.deployment()
    side["spec"] = {"template": {"spec": {"containers": [{"name": "side", "image": "registry.test/side:1"}]}}}
    applied = await world.client.apply(side, options("two"))
    assert [item["name"] for item in applied["spec"]["template"]["spec"]["containers"]] == ["main", "side"]
    again = await world.client.apply(world.deployment(image="registry.test/sensor:2"), options("one"))
    containers = {item["name"]: item["image"] for item in again["spec"]["template"]["spec"]["containers"]}
    assert containers == {"main": "registry.test/sensor:2", "side": "registry.test/side:1"}


async def test_changing_the_spec_by_apply_bumps_the_generation(world: World) -> None:
    first = await world.client.apply(world.deployment(), options("one"))
    second = await world.client.apply(world.deployment(image="registry.test/sensor:2"), options("one"))
    assert (first["metadata"]["generation"], second["metadata"]["generation"]) == (1, 2)


async def test_a_dry_run_reports_conflicts_and_results_but_keeps_nothing(world: World) -> None:
    stored = await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    with pytest.raises(ApiConflictError):
        await world.client.apply(world.config_map(data={"a": "2"}), options("two", dry_run=True))
    shown = await world.client.apply(world.config_map(data={"a": "2"}), options("one", dry_run=True))
    assert shown["data"] == {"a": "2"}
    assert await world.get(CONFIG_MAP, "settings") == stored


async def test_an_applied_status_leaves_the_spec_alone(world: World) -> None:
    await world.client.apply(world.deployment(), options("one"))
    config = {**world.deployment(replicas=4), "status": {"observedGeneration": 1}}
    applied = await world.client.apply(config, options("controller", subresource="status"))
    assert applied["status"]["observedGeneration"] == 1
    assert applied["spec"]["replicas"] == 0
    subresources = {entry["manager"]: entry.get("subresource") for entry in applied["metadata"]["managedFields"]}
    assert (subresources["one"], subresources["controller"]) == (None, "status")


async def test_applying_a_status_of_nothing_is_not_found(world: World) -> None:
    with pytest.raises(ApiNotFoundError):
        await world.client.apply(world.deployment(), options("one", subresource="status"))


async def test_a_configuration_may_demand_a_version(world: World) -> None:
    first = await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    await world.client.apply(world.config_map(data={"a": "2"}), options("one"))
    version = first["metadata"]["resourceVersion"]
    with pytest.raises(ApiConflictError, match="the object has been modified"):
        await world.client.apply(world.config_map(data={"a": "3"}, resourceVersion=version), options("one"))


async def test_a_configuration_with_managed_fields_is_refused(world: World) -> None:
    applied = await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    with pytest.raises(BadRequestError, match=r"metadata\.managedFields must be nil"):
        await world.client.apply(applied, options("one"))


async def test_times_of_managers_alone_are_no_change(world: World) -> None:
    created = await world.client.create(world.config_map(data={"a": "1"}), options("one"))
    patch = Patch(PatchType.MERGE, {"data": {"a": "1"}})
    patched = await world.client.patch(CONFIG_MAP, "settings", world.namespace, patch, options("one"))
    assert patched == created


async def test_an_update_takes_fields_without_asking(world: World) -> None:
    await world.client.apply(world.config_map(data={"a": "1", "b": "1"}), options("one"))
    patch = Patch(PatchType.MERGE, {"data": {"a": "2"}})
    patched = await world.client.patch(CONFIG_MAP, "settings", world.namespace, patch, options("kubectl-edit"))
    owned = {entry["manager"]: entry["fieldsV1"] for entry in patched["metadata"]["managedFields"]}
    assert owned == {"one": {"f:data": {"f:b": {}}}, "kubectl-edit": {"f:data": {"f:a": {}}}}


@pytest.mark.parametrize("empty", [[], [{}]])
async def test_ownership_is_forgotten_on_request(world: World, empty: list[object]) -> None:
    await world.client.apply(world.config_map(data={"a": "1"}), options("one"))
    patched = await world.merge(CONFIG_MAP, "settings", {"metadata": {"managedFields": empty}})
    assert "managedFields" not in patched["metadata"]
