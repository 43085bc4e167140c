"""Changes behind Git's back, on a real kernel: found by watch, named, undone or reported."""

from dataclasses import replace

from fakes.reconciling import World, config, namespace, stateful_set
from towpath.kube.objects import Object
from towpath.kube.requests import WriteOptions
from towpath.reconcile.drift import DriftMode, DriftState
from towpath.reconcile.status import Sync


async def edit(world: World, obj: Object, **data: str) -> None:
    await world.workloads.change(obj, {"data": data})
    await world.settle()


async def test_an_edit_is_undone_and_its_author_is_named(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await edit(world, config(), level="low")
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}
    (record,) = world.status().drift
    assert record.state is DriftState.HEALED
    assert {field.manager for field in record.fields} == {"user"}
    assert record.describe() == "ConfigMap/dev/settings: data.level high -> low by user"
    assert record.fields[0].time == "2026-01-31T09:30:00Z"
    assert await world.workloads.messages("Drifted") == [record.describe()]
    assert await world.workloads.messages("Healed") == [f"restored from Git: {record.describe()}"]
    assert world.counts.drifts == ["dev"]
    assert world.status().sync is Sync.SYNCED


async def test_a_scale_by_hand_is_undone(world: World) -> None:
    world.desire(namespace(), stateful_set("1", replicas=1))
    await world.start()
    scale = {"spec": {"replicas": 3}}
    await world.workloads.change(stateful_set(), scale, subresource="scale")
    await world.settle()
    assert (await world.workloads.fresh(stateful_set()))["spec"]["replicas"] == 1
    (record,) = world.status().drift
    assert record.describe() == "StatefulSet/dev/sensor: spec.replicas 1 -> 3 by user"
    assert world.status().ready


async def test_a_deleted_object_comes_back(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.workloads.delete(config())
    await world.settle()
    assert await world.exists(config())
    (record,) = world.status().drift
    assert (record.deleted, record.state) == (True, DriftState.HEALED)
    assert record.describe() == "ConfigMap/dev/settings: deleted"


async def test_an_object_whose_marks_were_removed_gets_them_back(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    marked = (await world.workloads.fresh(config()))["metadata"]
    gone = {"labels": dict.fromkeys(marked["labels"]), "annotations": dict.fromkeys(marked["annotations"])}
    await world.workloads.change(config(), {"metadata": gone})
    await world.settle()
    assert (await world.workloads.fresh(config()))["metadata"]["labels"] == marked["labels"]


async def test_a_status_that_changes_is_no_drift(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    asked = world.source.asked
    await world.workloads.change(stateful_set(), {"status": {"collisionCount": 3}}, subresource="status")
    await world.settle()
    assert world.source.asked == asked
    assert world.status().drift == ()


async def test_fields_that_git_does_not_set_are_left_to_their_owner(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.workloads.change(config(), {"metadata": {"labels": {"team": "a"}}})
    await world.settle()
    assert (await world.workloads.fresh(config()))["metadata"]["labels"]["team"] == "a"
    assert world.status().drift == ()


async def test_a_fight_slows_down_and_never_spins(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    for _ in range(3):
        await edit(world, config(), level="low")
    assert (await world.workloads.fresh(config()))["data"] == {"level": "low"}
    assert world.status().sync is Sync.OUT_OF_SYNC
    assert [record.state for record in world.status().drift] == [DriftState.HEALED, DriftState.FOUND]
    await world.clock.advance(2)
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}
    await edit(world, config(), level="low")
    await world.clock.advance(5)
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "low"}
    await world.clock.advance(1)
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}


async def test_an_object_under_dispute_does_not_hold_up_a_commit(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    for _ in range(3):
        await edit(world, config(), level="low")
    await world.push(namespace(), config(level="max"), revision="b")
    assert (await world.workloads.fresh(config()))["data"] == {"level": "max"}
    assert world.status().ready


async def test_drift_can_be_only_reported(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    for _ in range(2):  # the second time it is what it is
        world.reconciler.set_drift_mode("dev", DriftMode.REPORT)
    await edit(world, config(), level="low")
    assert (await world.workloads.fresh(config()))["data"] == {"level": "low"}
    assert [record.state for record in world.status().drift] == [DriftState.REPORTED]
    assert world.status().sync is Sync.OUT_OF_SYNC
    world.reconciler.set_drift_mode("dev", DriftMode.HEAL)
    await world.settle()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}
    assert [record.state for record in world.status().drift] == [DriftState.HEALED]


async def test_drift_is_told_from_a_commit_also_after_a_restart(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.reconciler.close()
    await edit(world, config(), level="low")
    world.reconciler = world.new_reconciler()
    await world.start()
    (record,) = world.status().drift
    assert {field.manager for field in record.fields} == {"user"}
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}


async def test_the_data_of_secrets_is_masked(world: World) -> None:
    secret = {**config(token="aGlnaA=="), "kind": "Secret"}
    world.desire(namespace(), secret)
    await world.start()
    await edit(world, secret, token="bG93")
    (record,) = world.status().drift
    assert "bG93" not in repr(replace(record))
    assert "aGlnaA==" not in record.describe()


async def test_an_apply_by_somebody_else_is_taken_back(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.cluster.apply(config(level="low"), WriteOptions(field_manager="kubectl", force=True))
    await world.settle()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}
    assert {field.manager for field in world.status().drift[0].fields} == {"kubectl"}
