"""What people add by kubectl beside Git's fields: removed if it is state, left if it is a mark or an operation."""

import pytest

from fakes.reconciling import World, config, namespace, stateful_set
from towpath.kube.objects import Object, gvk_of
from towpath.kube.requests import Patch, PatchType, WriteOptions
from towpath.reconcile.drift import DriftState
from towpath.reconcile.takeover import find_additions, take_over


async def kubectl(world: World, obj: Object, body: Object, *, manager: str = "kubectl-edit") -> Object:
    patch = Patch(PatchType.STRATEGIC, body)
    metadata = obj["metadata"]
    changed = await world.cluster.patch(
        gvk_of(obj), metadata["name"], metadata["namespace"], patch, WriteOptions(field_manager=manager)
    )
    await world.settle()
    return changed


def in_container(**fields: object) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}}}


async def test_an_added_variable_is_removed_and_its_author_is_named(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    await kubectl(world, stateful_set(), in_container(env=[{"name": "DEBUG", "value": "1"}]), manager="kubectl-set")
    (container,) = (await world.workloads.fresh(stateful_set()))["spec"]["template"]["spec"]["containers"]
    assert "env" not in container
    (record,) = world.status().drift
    assert record.state is DriftState.HEALED
    assert [field.change.path for field in record.fields] == ["spec.template.spec.containers[name=main].env"]
    assert {field.manager for field in record.fields} == {"kubectl-set"}
    assert world.status().ready


async def test_an_added_key_is_removed_beside_one_that_was_changed(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await kubectl(world, config(), {"data": {"level": "low", "extra.txt": "1"}})
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}
    (record,) = world.status().drift
    assert {field.change.path for field in record.fields} == {"data.level", "data[extra.txt]"}
    before = await world.writes()
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    assert await world.writes() == before


@pytest.mark.parametrize(
    ("body", "manager"),
    [
        ({"metadata": {"labels": {"team": "a"}, "annotations": {"note": "mine"}}}, "kubectl-label"),
        (
            {
                "spec": {
                    "template": {
                        "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-31T09:30:00Z"}}
                    }
                }
            },
            "kubectl-rollout",
        ),
        (in_container(env=[{"name": "INJECTED", "value": "1"}]), "sidecar-injector"),
    ],
    ids=["labels and annotations", "a rollout restart", "another controller"],
)
async def test_marks_operations_and_other_controllers_are_left(world: World, body: Object, manager: str) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    changed = await kubectl(world, stateful_set(), body, manager=manager)
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    fresh = await world.workloads.fresh(stateful_set())
    assert (fresh["spec"], fresh["metadata"]["labels"]) == (changed["spec"], changed["metadata"]["labels"])
    assert world.status().drift == ()


async def test_a_field_that_somebody_else_owns_too_is_left(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    shared = {**config(), "data": {"shared": "1"}}
    await world.cluster.apply(shared, WriteOptions(field_manager="operator", force=True))
    await world.cluster.apply(shared, WriteOptions(field_manager="kubectl", force=True))
    await world.settle()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high", "shared": "1"}
    assert world.status().drift == ()


async def test_what_git_adopts_is_no_addition(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.reconciler.close()
    await kubectl(world, config(), {"data": {"extra": "1"}})
    world.desire(namespace(), config(level="high", extra="1"), revision="b")
    world.reconciler = world.new_reconciler()
    await world.start()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high", "extra": "1"}
    assert world.status().drift == ()


def test_damaged_ownership_is_nobodys() -> None:
    live = {**config(), "metadata": {"managedFields": [{"manager": "kubectl-edit", "operation": "Odd"}]}}
    assert find_additions(live, config()) == []


def test_secret_data_is_masked() -> None:
    fields: Object = {"f:data": {"f:token": {}}}
    entry = {
        "manager": "kubectl-edit",
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    live = {"apiVersion": "v1", "kind": "Secret", "metadata": {"managedFields": [entry]}, "data": {"token": "c2VjcmV0"}}
    (found,) = find_additions(live, {"apiVersion": "v1", "kind": "Secret", "metadata": {}})
    assert (found.path, found.before, found.after) == ("data.token", "<masked>", None)
    (taken,) = take_over(live)
    assert (taken["manager"], taken["operation"], taken["fieldsV1"]) == ("towpath", "Apply", fields)
