"""The Job controller, played with a pretend kubelet that ends pods on demand."""

from typing import Any

from fakes.workloads import NAMESPACE, Workloads, condition, template
from towpath.kube.objects import Object, find_path, labels_of, name_of


def job(**spec: Any) -> Object:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "backup", "namespace": NAMESPACE},
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 6,
            "template": template("backup:1", "backup", restartPolicy="Never"),
            **spec,
        },
    }


async def started(cluster: Workloads, **spec: Any) -> Object:
    created = await cluster.create(job(**spec))
    await cluster.run()
    return created


async def running(cluster: Workloads) -> list[Object]:
    return [one for one in await cluster.pods() if find_path(one, "status", "phase") == "Running"]


async def end_all(cluster: Workloads, *, exit_code: int = 0) -> None:
    for one in await running(cluster):
        await cluster.kubelet.finish(one, exit_code=exit_code)
    await cluster.run()


async def test_a_pod_that_succeeds_completes_the_job(cluster: Workloads) -> None:
    created = await started(cluster)
    status = (await cluster.fresh(created))["status"]
    assert (status["active"], status["ready"], status["startTime"]) == (1, 1, "2026-01-31T09:30:00Z")
    await cluster.advance(5)
    await end_all(cluster)
    stored = await cluster.fresh(created)
    assert stored["status"]["succeeded"] == 1
    assert stored["status"]["completionTime"] == "2026-01-31T09:30:05Z"
    assert "active" not in stored["status"]
    assert condition(stored, "Complete")["reason"] == "CompletionsReached"
    assert condition(stored, "SuccessCriteriaMet")["status"] == "True"
    assert await cluster.messages("Completed") == ["Job completed"]


async def test_its_pods_carry_the_labels_by_which_clients_find_them(cluster: Workloads) -> None:
    created = await started(cluster)
    (pod,) = await cluster.pods()
    uid = created["metadata"]["uid"]
    assert labels_of(pod) == {
        "app": "backup",
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "backup",
        "controller-uid": uid,
        "job-name": "backup",
    }
    assert name_of(pod) == "backup-00001"


async def test_no_more_pods_run_at_a_time_than_allowed_nor_than_needed(cluster: Workloads) -> None:
    created = await started(cluster, completions=5, parallelism=2)
    for still_running in (2, 2, 1):
        assert len(await running(cluster)) == still_running
        await end_all(cluster)
    assert (await cluster.fresh(created))["status"]["succeeded"] == 5
    assert len(await cluster.pods()) == 5


async def test_a_work_queue_ends_when_its_pods_say_so(cluster: Workloads) -> None:
    created = await started(cluster, completions=None, parallelism=3)
    first, *_ = await running(cluster)
    await cluster.kubelet.finish(first)
    await cluster.run()
    assert len(await running(cluster)) == 2
    assert len(await cluster.pods()) == 3
    await end_all(cluster)
    assert condition(await cluster.fresh(created), "Complete")["status"] == "True"


async def test_a_failed_pod_is_tried_again_after_a_wait_that_doubles(cluster: Workloads) -> None:
    await started(cluster)
    for number, wait in enumerate((10, 20, 40), start=1):
        await end_all(cluster, exit_code=1)
        await cluster.advance(wait - 1)
        assert len(await cluster.pods()) == number
        await cluster.advance(1)
        await cluster.run()
        assert len(await cluster.pods()) == number + 1


async def test_too_many_failures_fail_the_job(cluster: Workloads) -> None:
    created = await started(cluster, backoffLimit=1)
    await end_all(cluster, exit_code=1)
    await cluster.advance(10)
    await cluster.run()
    await end_all(cluster, exit_code=1)
    stored = await cluster.fresh(created)
    assert stored["status"]["failed"] == 2
    assert condition(stored, "Failed")["reason"] == "BackoffLimitExceeded"
    assert await cluster.messages("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]
    await cluster.advance(3600)
    assert len(await cluster.pods()) == 2


async def test_restarts_in_place_count_against_the_limit(cluster: Workloads) -> None:
    in_place = template("backup:1", "backup", restartPolicy="OnFailure")
    created = await started(cluster, backoffLimit=2, template=in_place)
    (pod,) = await running(cluster)
    await cluster.kubelet.restart(pod, restarts=1)
    await cluster.run()
    assert find_path(await cluster.fresh(created), "status", "conditions") is None
    await cluster.kubelet.restart(pod, restarts=2)
    await cluster.run()
    assert condition(await cluster.fresh(created), "Failed")["reason"] == "BackoffLimitExceeded"
    assert await cluster.pods() == []


async def test_a_job_is_failed_only_when_its_last_pod_has_gone(cluster: Workloads) -> None:
    created = await started(cluster, completions=2, parallelism=2, backoffLimit=0)
    first, _ = await running(cluster)
    await cluster.kubelet.finish(first, exit_code=1)
    await cluster.settle()
    stored = await cluster.fresh(created)
    assert condition(stored, "FailureTarget")["reason"] == "BackoffLimitExceeded"
    assert [one["type"] for one in stored["status"]["conditions"]] == ["FailureTarget"]
    await cluster.run()
    stored = await cluster.fresh(created)
    assert condition(stored, "Failed")["reason"] == "BackoffLimitExceeded"
    assert stored["status"]["failed"] == 2


async def test_a_job_that_takes_too_long_is_ended(cluster: Workloads) -> None:
    created = await started(cluster, activeDeadlineSeconds=60)
    await cluster.advance(59)
    assert len(await running(cluster)) == 1
    await cluster.advance(1)
    await cluster.run()
    stored = await cluster.fresh(created)
    assert condition(stored, "Failed")["reason"] == "DeadlineExceeded"
    assert await cluster.pods() == []


async def test_a_suspended_job_has_no_pods_and_its_deadline_rests(cluster: Workloads) -> None:
    created = await started(cluster, suspend=True, activeDeadlineSeconds=60)
    assert await cluster.pods() == []
    assert "startTime" not in (await cluster.fresh(created))["status"]
    await cluster.advance(600)
    await cluster.change(created, {"spec": {"suspend": False}})
    await cluster.run()
    stored = await cluster.fresh(created)
    assert len(await running(cluster)) == 1
    assert stored["status"]["startTime"] == "2026-01-31T09:40:00Z"
    assert (condition(stored, "Suspended")["status"], condition(stored, "Suspended")["reason"]) == (
        "False",
        "JobResumed",
    )


async def test_suspending_a_running_job_takes_its_pods_without_counting_them_as_failed(cluster: Workloads) -> None:
    created = await started(cluster, activeDeadlineSeconds=60)
    await cluster.advance(30)
    await cluster.change(created, {"spec": {"suspend": True}})
    await cluster.run()
    stored = await cluster.fresh(created)
    assert await cluster.pods() == []
    assert "failed" not in stored["status"]
    assert condition(stored, "Suspended")["reason"] == "JobSuspended"
    await cluster.advance(600)
    await cluster.change(created, {"spec": {"suspend": False}})
    await cluster.run()
    assert len(await running(cluster)) == 1
    assert await cluster.messages("Suspended") == ["Job suspended"]
    assert await cluster.messages("Resumed") == ["Job resumed"]


async def test_a_finished_job_goes_after_its_time_to_live(cluster: Workloads) -> None:
    created = await started(cluster, ttlSecondsAfterFinished=100)
    await end_all(cluster)
    await cluster.advance(99)
    assert await cluster.exists(created)
    await cluster.advance(1)
    await cluster.run()
    assert not await cluster.exists(created)
    assert await cluster.pods() == []


async def test_the_time_to_live_goes_on_across_a_restart(cluster: Workloads) -> None:
    created = await started(cluster, ttlSecondsAfterFinished=100)
    await end_all(cluster)
    await cluster.stop_controllers()
    await cluster.clock.advance(200)
    await cluster.restart_controllers()
    await cluster.run()
    assert not await cluster.exists(created)


async def test_less_parallelism_takes_surplus_pods(cluster: Workloads) -> None:
    created = await started(cluster, completions=4, parallelism=4)
    await cluster.change(created, {"spec": {"parallelism": 1}})
    await cluster.run()
    assert len(await running(cluster)) == 1


async def test_a_success_is_never_taken_back_and_the_job_still_ends(cluster: Workloads) -> None:
    created = await started(cluster, completions=2)
    await end_all(cluster)
    await cluster.delete((await cluster.pods())[0])
    await cluster.run()
    assert (await cluster.fresh(created))["status"]["succeeded"] == 1
    while await running(cluster):
        await end_all(cluster)
    assert condition(await cluster.fresh(created), "Complete")["status"] == "True"
    assert (await cluster.fresh(created))["status"]["succeeded"] == 2


async def test_a_restart_cannot_forget_a_decision(cluster: Workloads) -> None:
    in_place = template("backup:1", "backup", restartPolicy="OnFailure")
    created = await started(cluster, backoffLimit=1, template=in_place)
    (pod,) = await running(cluster)
    await cluster.kubelet.restart(pod, restarts=1)
    await cluster.settle()  # decided, and the pod is terminating
    await cluster.stop_controllers()
    await cluster.kubelet.step()  # the pod and its restart count are gone
    await cluster.restart_controllers()
    await cluster.run()
    assert condition(await cluster.fresh(created), "Failed")["reason"] == "BackoffLimitExceeded"
    assert await cluster.pods() == []


async def test_a_deleted_job_takes_its_pods_with_it(cluster: Workloads) -> None:
    created = await started(cluster)
    await cluster.delete(created)
    await cluster.run()
    assert await cluster.pods() == []


async def test_the_wait_counts_from_the_end_of_the_failed_pod(cluster: Workloads) -> None:
    await started(cluster)
    await cluster.advance(100)
    await end_all(cluster, exit_code=1)
    await cluster.advance(9)
    assert len(await cluster.pods()) == 1
    await cluster.advance(1)
    assert len(await cluster.pods()) == 2


async def test_a_success_forgives_the_failures_before_it(cluster: Workloads) -> None:
    await started(cluster, completions=3)
    for wait in (10, 20):
        await end_all(cluster, exit_code=1)
        await cluster.advance(wait)
        await cluster.run()
    await cluster.advance(1)
    await end_all(cluster)
    await cluster.advance(1)
    await end_all(cluster, exit_code=1)
    await cluster.advance(10)
    await cluster.run()
    assert len(await running(cluster)) == 1
