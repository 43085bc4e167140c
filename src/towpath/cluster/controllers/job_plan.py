"""What a Job does next, and what its status says. Pure.

A Job is running, ending or over. It begins to end when enough pods succeeded, too many failed or its time is up; that
decision is written as a condition (SuccessCriteriaMet, FailureTarget) before pods are taken away, so that a restart
cannot forget it. It is over (Complete, Failed) when no pod of it is left running.

Counts are taken from the pods that exist and never shrink. When somebody deletes a finished pod of an unfinished Job,
that pod is run again: a Job promises at least once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from towpath.aio.backoff import Backoff
from towpath.aio.clock import format_rfc3339, parse_rfc3339
from towpath.cluster.controllers.conditions import Condition, find_condition, is_true, set_condition
from towpath.cluster.controllers.ownership import is_terminating
from towpath.cluster.controllers.pods import created_at, is_active, is_finished, is_ready, phase_of, restarts_of
from towpath.cluster.controllers.replicaset_plan import victim_order
from towpath.cluster.controllers.status import prepare_status
from towpath.kube.objects import Object, find_path

COMPLETE = "Complete"
FAILED = "Failed"
SUCCESS_CRITERIA_MET = "SuccessCriteriaMet"
FAILURE_TARGET = "FailureTarget"
SUSPENDED = "Suspended"

DEFAULT_BACKOFF_LIMIT = 6

# Upstream's waits before a failed pod is replaced: 10 s, doubled, ten minutes at most.
POD_BACKOFF = Backoff(initial_seconds=10.0, cap_seconds=600.0)


@dataclass(frozen=True, slots=True)
class Note:
    """An event worth recording."""

    is_warning: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The status to write first, then the pods to delete and how many to create; `expired`: delete the Job itself."""

    status: dict[str, Any]
    delete: list[Object] = field(default_factory=list)
    create: int = 0
    expired: bool = False
    recheck_seconds: float | None = None
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JobState:
    """A Job with its pods, at one moment (epoch seconds)."""

    job: Object
    pods: Sequence[Object]
    now: float

    @property
    def active(self) -> list[Object]:
        """Pods that run or will."""
        return [pod for pod in self.pods if is_active(pod)]

    @property
    def succeeded(self) -> int:
        """How many pods have succeeded so far."""
        return max(self._former("succeeded"), sum(phase_of(pod) == "Succeeded" for pod in self.pods))

    @property
    def failed(self) -> int:
        """How many pods have failed so far; those that were taken away while suspended do not count."""
        seen = sum(phase_of(pod) == "Failed" and not is_terminating(pod) for pod in self.pods)
        return max(self._former("failed"), seen)

    @property
    def conditions(self) -> list[dict[str, Any]]:
        """The conditions as they are stored."""
        return find_path(self.job, "status", "conditions") or []

    @property
    def is_suspended(self) -> bool:
        """Whether the spec asks for a pause."""
        return bool(self.spec("suspend"))

    @property
    def started(self) -> float | None:
        """When it started or was resumed last, in epoch seconds."""
        text = find_path(self.job, "status", "startTime")
        return parse_rfc3339(text) if text else None

    def spec(self, name: str) -> Any:
        """A field of the spec, or None."""
        return self.job["spec"].get(name)

    def _former(self, name: str) -> int:
        return int(find_path(self.job, "status", name) or 0)


def plan_job(state: JobState) -> JobPlan:
    """The next step."""
    if is_true(state.conditions, COMPLETE) or is_true(state.conditions, FAILED):
        return _plan_after_end(state)
    status, notes = _begin(state)
    ending = _find_ending(state)
    if ending is not None:
        return _plan_end(state, ending, status, notes)
    if state.is_suspended:
        return JobPlan(_finish_status(state, status), delete=state.active, notes=notes)
    delete, create, wait = _plan_running(state)
    waits = [wait, _seconds_to_deadline(state, status)]
    return JobPlan(
        _finish_status(state, status),
        delete=delete,
        create=create,
        recheck_seconds=min((one for one in waits if one is not None), default=None),
        notes=notes,
    )


def _begin(state: JobState) -> tuple[dict[str, Any], list[Note]]:
    """The status fields that suspension and start decide."""
    status = {
        "startTime": find_path(state.job, "status", "startTime"),
        "failed": state.failed,
        "conditions": state.conditions,
    }
    was_suspended = is_true(state.conditions, SUSPENDED)
    notes = []
    if state.is_suspended and not was_suspended:
        wanted = Condition(SUSPENDED, "True", "JobSuspended", "Job suspended")
        status["conditions"] = set_condition(state.conditions, wanted, now=state.now)
        notes.append(Note(False, "Suspended", "Job suspended"))
    elif was_suspended and not state.is_suspended:
        wanted = Condition(SUSPENDED, "False", "JobResumed", "Job resumed")
        status["conditions"] = set_condition(state.conditions, wanted, now=state.now)
        status["startTime"] = format_rfc3339(state.now)  # the deadline counts from here
        notes.append(Note(False, "Resumed", "Job resumed"))
    if status["startTime"] is None and not state.is_suspended:
        status["startTime"] = format_rfc3339(state.now)
    return status, notes


def _find_ending(state: JobState) -> Condition | None:
    for decided in (SUCCESS_CRITERIA_MET, FAILURE_TARGET):
        stored = find_condition(state.conditions, decided)
        if stored is not None and stored.get("status") == "True":
            return Condition(decided, "True", stored.get("reason", ""), stored.get("message", ""))
    return _find_failure(state) or _find_success(state)


def _find_failure(state: JobState) -> Condition | None:
    limit = state.spec("backoffLimit")
    if _exceeds_backoff(state, DEFAULT_BACKOFF_LIMIT if limit is None else int(limit)):
        text = "Job has reached the specified backoff limit"
        return Condition(FAILURE_TARGET, "True", "BackoffLimitExceeded", text)
    deadline = state.spec("activeDeadlineSeconds")
    # While it is suspended, and in the round that resumes it, the start time does not count.
    is_counting = not state.is_suspended and not is_true(state.conditions, SUSPENDED)
    is_late = deadline is not None and state.started is not None and state.now >= state.started + int(deadline)
    if is_counting and is_late:
        text = "Job was active longer than specified deadline"
        return Condition(FAILURE_TARGET, "True", "DeadlineExceeded", text)
    return None


def _find_success(state: JobState) -> Condition | None:
    completions = state.spec("completions")
    is_drained = state.succeeded > 0 and not state.active  # a work queue is done when its pods say so
    if is_drained if completions is None else state.succeeded >= int(completions):
        text = "Reached expected number of succeeded pods"
        return Condition(SUCCESS_CRITERIA_MET, "True", "CompletionsReached", text)
    return None


def _exceeds_backoff(state: JobState, limit: int) -> bool:
    if state.failed > limit:
        return True
    if find_path(state.job, "spec", "template", "spec", "restartPolicy") != "OnFailure":
        return False
    # With OnFailure the kubelet restarts containers in place, and those restarts are the failures.
    restarts = sum(restarts_of(pod) for pod in state.active)
    return restarts > 0 if limit == 0 else restarts >= limit


def _plan_end(state: JobState, ending: Condition, status: dict[str, Any], notes: list[Note]) -> JobPlan:
    has_failed = ending.type == FAILURE_TARGET
    is_decided = is_true(state.conditions, ending.type)
    if not is_decided:
        status["conditions"] = set_condition(status["conditions"], ending, now=state.now)
        if has_failed:
            status["failed"] += len(state.active)  # what is cut short has failed too
    if all(is_finished(pod) for pod in state.pods):
        final = FAILED if has_failed else COMPLETE
        wanted = Condition(final, "True", ending.reason, ending.message)
        status["conditions"] = set_condition(status["conditions"], wanted, now=state.now)
        if has_failed:
            notes = [*notes, Note(True, ending.reason, ending.message)]
        else:
            status["completionTime"] = format_rfc3339(state.now)
            notes = [*notes, Note(False, "Completed", "Job completed")]
    return JobPlan(
        _finish_status(state, status),
        delete=state.active,
        recheck_seconds=_seconds_to_expiry(state, status),
        notes=notes,
    )


def _plan_running(state: JobState) -> tuple[list[Object], int, float | None]:
    """The pods to delete, how many to create, and how long to wait before creating the rest."""
    parallelism = state.spec("parallelism")
    parallelism = 1 if parallelism is None else int(parallelism)
    completions = state.spec("completions")
    if completions is not None:
        wanted = min(parallelism, int(completions) - state.succeeded)
    else:
        # A work queue: once one pod has succeeded, no new ones start.
        wanted = len(state.active) if state.succeeded else parallelism
    missing = wanted - len(state.active)
    if missing <= 0:
        return sorted(state.active, key=victim_order)[: max(0, -missing)], 0, None
    wait = _backoff_seconds(state)
    return ([], 0, wait) if wait > 0 else ([], missing, None)


def _backoff_seconds(state: JobState) -> float:
    finished = sorted((pod for pod in state.pods if is_finished(pod)), key=_finished_at)
    failures = 0
    for pod in reversed(finished):
        if phase_of(pod) != "Failed":
            break
        failures += 1
    return _finished_at(finished[-1]) + POD_BACKOFF.delay(failures) - state.now if failures else 0.0


def _finished_at(pod: Object) -> float:
    times = [
        find_path(status, "state", "terminated", "finishedAt")
        for status in find_path(pod, "status", "containerStatuses") or []
    ]
    return max((parse_rfc3339(time) for time in times if time), default=created_at(pod))


def _finish_status(state: JobState, status: dict[str, Any]) -> dict[str, Any]:
    active = state.active
    return prepare_status(
        {
            **status,
            "active": len(active),
            "ready": sum(is_ready(pod) for pod in active),
            "terminating": sum(is_terminating(pod) and not is_finished(pod) for pod in state.pods),
            "succeeded": state.succeeded,
        },
        kept=("ready", "terminating"),
    )


def _plan_after_end(state: JobState) -> JobPlan:
    status = state.job.get("status", {})
    wait = _seconds_to_expiry(state, status)
    return JobPlan(status, expired=wait == 0, recheck_seconds=wait or None)


def _seconds_to_expiry(state: JobState, status: dict[str, Any]) -> float | None:
    """Seconds until a finished Job may go; None when it stays, or is not finished."""
    ttl = state.spec("ttlSecondsAfterFinished")
    conditions = status.get("conditions") or []
    end = next((one for one in conditions if one["type"] in {COMPLETE, FAILED} and one["status"] == "True"), None)
    if ttl is None or end is None:
        return None
    return max(0.0, parse_rfc3339(end["lastTransitionTime"]) + int(ttl) - state.now)


def _seconds_to_deadline(state: JobState, status: dict[str, Any]) -> float | None:
    deadline = state.spec("activeDeadlineSeconds")
    started = status.get("startTime")
    if deadline is None or started is None:
        return None
    return max(0.0, parse_rfc3339(started) + int(deadline) - state.now)
