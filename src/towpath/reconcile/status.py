"""What an application reports: plain values, made anew at every change, safe to keep."""

from dataclasses import dataclass, field
from enum import StrEnum

from towpath.kube.health import Health
from towpath.kube.objects import ObjectKey
from towpath.reconcile.artifacts import Artifact
from towpath.reconcile.changes import Action, ChangeSet
from towpath.reconcile.drift import DriftMode, DriftRecord
from towpath.reconcile.health import PodFacts
from towpath.reconcile.verdicts import Verdict


class Sync(StrEnum):
    """Whether the live objects are the desired ones; the words of Argo CD."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"


class Result(StrEnum):
    """How one reconciliation ended."""

    UNCHANGED = "unchanged"
    APPLIED = "applied"
    WAITING = "waiting"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Problem:
    """What stands in the way, since when (seconds since the epoch), and the next step.

    `waiting`: nothing is wrong, something is on its way.
    """

    message: str
    since: float
    hint: str = ""
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Automation paused for one application. `until` is None for no end."""

    reason: str
    since: float
    by: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One object of the application."""

    key: ObjectKey
    action: Action
    sync: Sync
    health: Health
    message: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service in the environment.

    Attributes:
        service: its name.
        desired: what is to run; None while it is not promoted.
        health: of its workloads, with the message of the worst.
        message: why it is not healthy, or not promoted.
        pods: what its pods prove, one entry a workload.
        verdict: what is known of the desired release; None before it was first seen.
    """

    service: str
    desired: Artifact | None
    health: Health
    message: str = ""
    pods: tuple[PodFacts, ...] = ()
    verdict: Verdict | None = None

    @property
    def live_digests(self) -> dict[str, int]:
        """How many pods run which digest."""
        counted: dict[str, int] = {}
        for facts in self.pods:
            for digest, count in facts.digests:
                counted[digest] = counted.get(digest, 0) + count
        return counted

    @property
    def ready_pods(self) -> int:
        """Ready pods of the desired release."""
        return sum(facts.ready for facts in self.pods)

    @property
    def total_pods(self) -> int:
        """All its pods, of any release."""
        return sum(facts.total for facts in self.pods)


@dataclass(frozen=True, slots=True)
class Operation:
    """One reconciliation that did or found something. `at` is seconds since the epoch."""

    at: float
    trigger: str
    revision: str
    result: Result
    summary: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ApplicationStatus:
    """The state of one environment's application.

    Attributes:
        environment: its name.
        revision: the commit it was last planned from; empty before the first.
        applied_revision: the commit whose objects were last applied in full.
        sync: whether live is desired, and `sync_message` why not.
        health: of everything, and `health_message` whose and why.
        services: by name.
        resources: every object of the application.
        change_set: the last one that was planned; None before the first.
        drift: found since the start of the process, newest last.
        drift_mode: what happens to drift.
        operations: the last reconciliations that did something, newest last.
        problem: what stands in the way; None when nothing does.
        prune_problem: why objects that Git dropped still exist; None when they do not.
        hold: automation paused; None when it runs.
        ready: everything of `revision` is applied and healthy, and no channel lags behind it.
        healthy_since: when health last turned to healthy (wall time); None while it is not.
    """

    environment: str
    revision: str = ""
    applied_revision: str = ""
    sync: Sync = Sync.UNKNOWN
    sync_message: str = "not reconciled yet"
    health: Health = Health.UNKNOWN
    health_message: str = ""
    services: dict[str, ServiceStatus] = field(default_factory=dict)
    resources: tuple[ResourceStatus, ...] = ()
    change_set: ChangeSet | None = None
    drift: tuple[DriftRecord, ...] = ()
    drift_mode: DriftMode = DriftMode.HEAL
    operations: tuple[Operation, ...] = ()
    problem: Problem | None = None
    prune_problem: Problem | None = None
    hold: Hold | None = None
    ready: bool = False
    healthy_since: float | None = None

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The desired artifact of each promoted service."""
        return {name: status.desired for name, status in self.services.items() if status.desired is not None}
