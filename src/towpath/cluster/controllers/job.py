"""The Job controller: pods that run to completion, as often and as many at a time as asked for.

The status, with the decision it records, is written before the pods are touched; see `job_plan`. Only pods controlled
by the Job count: a Job's selector is its own uid, so that there is nothing to adopt.
"""

from collections.abc import Callable

from towpath.aio.clock import Clock
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.controllers.informer import Informer, NamespacedName
from towpath.cluster.controllers.job_plan import JobPlan, JobState, plan_job
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import is_terminating
from towpath.cluster.controllers.pod_control import PodControl
from towpath.cluster.controllers.pods import prepare_generated_pod
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.triggers import add_changed, add_controllers
from towpath.cluster.controllers.writes import write_status
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions

JOB = GVK("batch", "v1", "Job")


class JobController:
    """Keeps the pods of every Job."""

    def __init__(
        self,
        client: ObjectClient,
        *,
        jobs: Informer,
        pods: Informer,
        events: EventRecorder,
        clock: Clock,
        random_suffix: Callable[[], str],
    ) -> None:
        self.loop = ControlLoop("job", self.reconcile, clock=clock)
        self._client = client
        self._jobs = jobs
        self._pods = pods
        self._clock = clock
        self._random_suffix = random_suffix
        self._events = events.source("job-controller")
        self._pod_control = PodControl(client, pods, self.loop, self._events)
        jobs.on_change(add_changed(self.loop))
        pods.on_change(add_controllers(self.loop, JOB))

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Take the next step of one Job; seconds until its deadline, its next retry or its expiry.

        Raises:
            ApiError: a write was refused; the key comes back.
        """
        job = self._jobs.find(key)
        if job is None or is_terminating(job):
            return None
        plan = plan_job(JobState(job, self._pods.owned_by(uid_of(job)), self._clock.now()))
        if plan.expired:
            await self._delete(job)
            return None
        await write_status(self._client, self.loop, self._jobs, job, plan.status)
        self._tell(job, plan)
        for pod in plan.delete:
            await self._pod_control.delete(job, pod)
        for _ in range(plan.create):
            await self._pod_control.create(job, prepare_job_pod(job, suffix=self._random_suffix()))
        return plan.recheck_seconds

    async def _delete(self, job: Object) -> None:
        try:
            await self._client.delete(JOB, name_of(job), namespace_of(job), DeleteOptions(uid=uid_of(job)))
        except ApiNotFoundError:
            return

    def _tell(self, job: Object, plan: JobPlan) -> None:
        for note in plan.notes:
            record = self._events.warning if note.is_warning else self._events.normal
            record(job, note.reason, note.message)


def prepare_job_pod(job: Object, *, suffix: str) -> Object:
    """A pod of the Job, with the labels by which `kubectl logs job/…` finds it."""
    labels = {
        "batch.kubernetes.io/controller-uid": uid_of(job),
        "batch.kubernetes.io/job-name": name_of(job),
        "controller-uid": uid_of(job),
        "job-name": name_of(job),
    }
    return prepare_generated_pod(job, job["spec"]["template"], base=name_of(job), suffix=suffix, labels=labels)
