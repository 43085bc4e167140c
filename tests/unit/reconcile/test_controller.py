import asyncio

import pytest

from fakes.reconciling import World, commit, config, digest, namespace, sensor_image, stateful_set
from fakes.waiting import wait_until
from towpath.errors import NotFoundError, RemoteError, UserError
from towpath.kube.health import Health
from towpath.kube.objects import key_of
from towpath.oci.reference import Reference
from towpath.reconcile.artifacts import FirstBuildAwaitedError
from towpath.reconcile.status import ApplicationStatus, Sync


async def test_what_git_wants_is_created_and_becomes_healthy(world: World) -> None:
    world.desire(namespace(), config(level="high"), stateful_set("1"))
    await world.start()
    status = world.status()
    assert (status.sync, status.health, status.ready) == (Sync.SYNCED, Health.HEALTHY, True)
    assert status.applied_revision == "a" * 40
    assert status.services["sensor"].live_digests == {"sha256:" + "1" * 64: 1}


async def test_nothing_to_do_writes_nothing(world: World) -> None:
    world.desire(namespace(), config(level="high"), stateful_set("1"))
    await world.start()
    before = await world.writes()
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    assert await world.writes() == before
    assert world.counts.results[-1] == ("dev", "unchanged")


async def test_a_new_release_is_rolled_out(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    await world.push(namespace(), stateful_set("2"), revision="b")
    status = world.status()
    assert status.ready
    assert status.services["sensor"].live_digests == {"sha256:" + "2" * 64: 1}
    assert ("dev", "b", "ready") in world.stamps.stamped


async def test_what_git_drops_is_pruned_and_forgotten(world: World) -> None:
    world.desire(namespace(), config("one"), config("two"))
    await world.start()
    await world.push(namespace(), config("one"), revision="b")
    assert not await world.exists(config("two"))
    assert await world.exists(config("one"))
    assert [str(resource.key) for resource in world.status().resources] == ["Namespace/dev", "ConfigMap/dev/one"]


async def test_an_empty_render_deletes_nothing_until_somebody_says_so(world: World) -> None:
    world.desire(namespace(), config("one"))
    await world.start()
    await world.push(revision="b")
    problem = world.status().prune_problem
    assert problem is not None
    assert "EmptyRender" in problem.message
    assert "--confirm-prune" in problem.hint
    assert world.status().sync is Sync.OUT_OF_SYNC
    assert await world.exists(config("one"))
    world.reconciler.confirm_prune("dev")
    await world.settle()
    assert not await world.exists(config("one"))
    assert (world.status().prune_problem, world.status().sync) == (None, Sync.SYNCED)


async def test_a_namespace_is_only_pruned_when_the_commit_says_so(world: World) -> None:
    world.desire(namespace(), namespace("extra"), config("one"))
    await world.start()
    await world.push(namespace(), config("one"), revision="b")
    problem = world.status().prune_problem
    assert problem is not None
    assert "Namespace/extra would be deleted" in problem.message
    await world.push(namespace(), config("one"), revision="c", prune_confirmed=True)
    assert not await world.exists(namespace("extra"))


async def test_a_bad_object_keeps_its_wave_back_and_all_bad_objects_are_named(world: World) -> None:
    bad = [{**config(name), "dataa": {}} for name in ("bad-one", "bad-two")]
    world.desire(namespace(), config("first", wave=-1), config("good"), *bad)
    await world.start()
    status = world.status()
    assert await world.exists(config("first"))
    assert not await world.exists(config("good"))
    assert status.problem is not None
    assert "ConfigMap/dev/bad-one" in status.problem.message
    assert "ConfigMap/dev/bad-two" in status.problem.message
    assert "dataa" in status.problem.message
    assert status.sync is Sync.OUT_OF_SYNC


async def test_a_mended_commit_goes_through_after_a_bad_one(world: World) -> None:
    world.desire(namespace(), {**config("one"), "dataa": {}})
    await world.start()
    await world.push(namespace(), config("one"), revision="b")
    assert world.status().problem is None
    assert world.status().ready


async def test_a_later_wave_waits_until_the_earlier_one_is_healthy(world: World) -> None:
    image = stateful_set("1")["spec"]["template"]["spec"]["containers"][0]["image"]
    world.workloads.kubelet.broken.add(image)
    world.desire(namespace(), stateful_set("1"), config("after", wave=1))
    await world.start()
    assert not await world.exists(config("after"))
    assert world.status().sync is Sync.OUT_OF_SYNC
    world.workloads.kubelet.broken.clear()
    await world.settle()
    assert await world.exists(config("after"))
    assert world.status().ready


async def test_the_reason_of_bad_health_is_the_pods_own(world: World) -> None:
    image = stateful_set("1")["spec"]["template"]["spec"]["containers"][0]["image"]
    world.workloads.kubelet.broken.add(image)
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    status = world.status()
    assert status.health is Health.DEGRADED
    assert status.health_message.startswith("StatefulSet/dev/sensor: pod sensor-0: ")
    assert "ErrImagePull" in status.health_message
    assert not status.ready


async def test_a_release_that_hangs_is_degraded_at_its_deadline(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.reconciler.start()
    for _ in range(2000):
        await asyncio.sleep(0)
    await world.workloads.settle()
    assert world.status().health is Health.PROGRESSING
    await world.clock.advance(601)
    world.reconciler.trigger("dev", "deadline")
    for _ in range(2000):
        await asyncio.sleep(0)
    assert world.status().health is Health.DEGRADED
    assert "not ready after 600 s" in world.status().health_message


async def test_a_pod_of_a_broken_release_does_not_block_the_way_back(world: World) -> None:
    world.desire(namespace(), stateful_set("1", replicas=2))
    await world.start()
    world.workloads.kubelet.broken.add(sensor_image("2"))
    await world.push(namespace(), stateful_set("2", replicas=2), revision="b")
    assert world.status().health is Health.DEGRADED
    await world.push(namespace(), stateful_set("1", replicas=2), revision="c")
    assert world.status().ready
    assert world.status().services["sensor"].live_digests == {digest("1"): 2}
    (message,) = await world.workloads.messages("FreedStuckPod")
    assert "sensor-1" in message


async def test_a_failing_desired_state_leaves_everything_running(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    world.source.states["dev"] = UserError("overlay k3s/overlays/dev could not be rendered", hint="mend it")
    world.reconciler.trigger("dev", "push")
    await world.settle()
    status = world.status()
    assert (status.sync, status.health) == (Sync.UNKNOWN, Health.HEALTHY)
    assert status.problem is not None
    assert status.problem.hint == "mend it"
    assert status.applied_revision == commit("a")
    world.desire(namespace(), stateful_set("1"))
    world.reconciler.trigger("dev", "push")
    await world.settle()
    assert world.status().problem is None
    assert world.status().sync is Sync.SYNCED


async def test_failures_are_tried_again_by_themselves(world: World) -> None:
    world.source.states["dev"] = RemoteError("registry did not answer")
    await world.start()
    world.desire(namespace())
    await wait_until(world.reconciler, "dev", lambda status: status.ready, timeout_seconds=10)


async def test_objects_of_other_controllers_are_left_alone(world: World) -> None:
    theirs = config("theirs", owner="argo")
    theirs["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:dev/theirs"}
    await world.workloads.create(theirs)
    world.desire(namespace(), config("theirs", owner="towpath"), config("ours"))
    await world.start()
    assert (await world.workloads.fresh(theirs))["data"] == {"owner": "argo"}
    skipped = {str(resource.key): resource.message for resource in world.status().resources if resource.message}
    assert skipped["ConfigMap/dev/theirs"] == "managed by Argo CD application shop"
    await world.push(namespace(), config("ours"), revision="b")
    assert await world.exists(theirs)


async def test_workloads_that_are_not_promoted_are_left_out_but_never_pruned(world: World) -> None:
    world.desire(namespace(), stateful_set("1"), config())
    await world.start()
    key = key_of(stateful_set())
    await world.push(namespace(), config(), revision="b", not_promoted={key: ("sensor",)})
    assert await world.exists(stateful_set())
    service = world.status().services["sensor"]
    assert (service.desired, service.message) == (
        None,
        "not promoted yet: StatefulSet/dev/sensor is left out",
    )
    assert world.status().sync is Sync.SYNCED


async def test_a_hold_reports_and_writes_nothing_and_outlives_a_restart(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.reconciler.hold("dev", reason="debugging", by="me")
    await world.push(namespace(), config(level="low"), revision="b")
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}
    await world.restart()
    status = world.status()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "high"}
    assert status.hold is not None
    assert status.hold.reason == "debugging"
    assert status.sync is Sync.OUT_OF_SYNC
    assert await world.reconciler.resume("dev")
    await world.settle()
    assert (await world.workloads.fresh(config()))["data"] == {"level": "low"}
    assert world.status().hold is None


async def test_a_hold_ends_by_itself(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.reconciler.hold("dev", reason="lunch", until=world.clock.now() + 60)
    await world.clock.advance(61)
    await world.push(namespace(), config(level="low"), revision="b")
    assert (await world.workloads.fresh(config()))["data"] == {"level": "low"}


async def test_a_diff_shows_what_would_happen_and_writes_nothing(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    world.desire(namespace(), namespace("more"), config(level="low"), config("new", namespace="more"), revision="b")
    before = await world.writes()
    change_set = await world.reconciler.diff("dev")
    assert await world.writes() == before
    assert [(str(change.key), change.action.value) for change in change_set.writes] == [
        ("Namespace/more", "created"),
        ("ConfigMap/dev/settings", "configured"),
        ("ConfigMap/more/new", "created"),
    ]
    changed = [(field.path, field.before, field.after) for field in change_set.writes[1].fields]
    assert ("data.level", "high", "low") in changed


async def test_environments_do_not_disturb_each_other(world: World) -> None:
    world.reconciler = world.new_reconciler(environments=("dev", "prod"))
    world.desire(namespace(), config(level="high"))
    world.desire(namespace("prod"), config(level="max", namespace="prod"), environment="prod")
    await world.start()
    assert world.status("dev").ready
    assert world.status("prod").ready
    await world.push(namespace(), revision="b")
    assert world.status("dev").ready
    assert await world.exists(config(namespace="prod"))


async def test_an_environment_is_added_while_running(world: World) -> None:
    world.desire(namespace())
    await world.start()
    world.desire(namespace("prod"), environment="prod")
    world.reconciler.add_environment("prod")
    await world.settle()
    assert world.status("prod").ready


async def test_unknown_environments_are_named(world: World) -> None:
    with pytest.raises(NotFoundError, match="qa is not known"):
        world.reconciler.status("qa")
    world.reconciler.trigger("qa", "push")


async def test_stages_are_stamped_once_and_only_when_the_channel_has_caught_up(world: World) -> None:
    world.desire(namespace(), stateful_set("1"), caught_up=False)
    await world.start()
    assert world.stamps.stamped == []
    await world.push(namespace(), stateful_set("2"), revision="a")
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    expected = [("dev", letter, stage) for stage in ("planned", "applied", "ready") for letter in ("a", "2")]
    assert world.stamps.stamped == expected


async def test_listeners_hear_of_each_change_and_a_bad_one_harms_nobody(world: World) -> None:
    heard: list[bool] = []

    def fail(_status: ApplicationStatus) -> None:
        raise RuntimeError("a listener's own fault")

    world.reconciler.on_change(fail)
    stop = world.reconciler.on_change(lambda status: heard.append(status.ready))
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    assert heard[-1]
    stop()
    count = len(heard)
    await world.push(namespace(), stateful_set("2"), revision="b")
    assert len(heard) == count


async def test_operations_are_remembered_with_what_they_did(world: World) -> None:
    world.desire(namespace(), config(level="high"))
    await world.start()
    await world.push(namespace(), config(level="low"), revision="b")
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    told = [(one.trigger, one.result.value, one.summary) for one in world.status().operations]
    assert told == [
        ("start", "applied", "1 created, 1 configured"),
        ("push", "applied", "1 configured, 1 unchanged"),
    ]


async def test_an_application_that_waits_for_its_first_build_has_not_failed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    awaited = FirstBuildAwaitedError("sensor", Reference.parse("registry.test/home/sensor:canary"))
    world.source.states["dev"] = awaited
    await world.start()
    problem = world.status().problem
    assert problem is not None
    assert (problem.waiting, problem.message) == (True, awaited.message)
    assert world.counts.results == [("dev", "waiting")]
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []

    await world.push(namespace(), stateful_set("1"), revision="b")
    assert world.status().problem is None
    assert world.status().ready
