"""How an application stands: turned anew from the last plan and the watched objects whenever one of them changes.

No waiting and no requests here, so a pod that turns ready is a status, a stamp and a verdict within the same turn of
the event loop. Its owner publishes what `status` gives.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from towpath.errors import TowpathError
from towpath.kube.diff import diff
from towpath.kube.health import Health
from towpath.kube.objects import Object, ObjectKey, key_of, resource_version_of
from towpath.reconcile.artifacts import FirstBuildAwaitedError
from towpath.reconcile.assessment import Assessment, assess_application, observations
from towpath.reconcile.changes import Action, ChangeSet
from towpath.reconcile.desired import Desired
from towpath.reconcile.drift import DriftLog
from towpath.reconcile.parts import Parts, Settings
from towpath.reconcile.status import ApplicationStatus, Hold, Operation, Problem, Result, Sync
from towpath.reconcile.unstick import find_stuck_pods

# What a person scrolls through; older operations are in Git and in the cluster's events.
KEPT_OPERATIONS = 50


class Standing:
    """The state of one application between and during reconciliations."""

    def __init__(self, environment: str, parts: Parts, settings: Settings, drift: DriftLog) -> None:
        self._environment = environment
        self._parts = parts
        self._settings = settings
        self._drift = drift
        self._status = ApplicationStatus(environment, drift_mode=settings.drift_mode)
        self._desired: Desired | None = None
        self._change_set = ChangeSet()
        self._pending: set[ObjectKey] = set()
        self._own_versions: dict[ObjectKey, str] = {}
        self._waiting_wave: int | None = None
        self._unhealthy_since: float | None = None
        self._operations: deque[Operation] = deque(maxlen=KEPT_OPERATIONS)
        self._stamped: dict[str, tuple[str, ...]] = {}
        self._assessment: Assessment | None = None
        self.on_refresh: Callable[[], None] = lambda: None

    @property
    def status(self) -> ApplicationStatus:
        """The latest state."""
        return self._status

    def configure(self, settings: Settings) -> None:
        """Go by other settings."""
        self._settings = settings
        self._status = replace(self._status, drift_mode=settings.drift_mode)

    # --- told by the reconciliation

    def planned(
        self, desired: Desired, change_set: ChangeSet, *, done: Collection[ObjectKey], hold: Hold | None
    ) -> None:
        """A plan was made: until it is carried out, its writes that are not done are what is out of sync."""
        self._desired, self._change_set = desired, change_set
        self._pending = {change.key for change in change_set.writes}.difference(done)
        self._waiting_wave = None
        self._status = replace(self._status, revision=desired.revision, change_set=change_set, hold=hold)
        self._stamp("planned")
        self.refresh()

    def wrote(self, obj: Object) -> None:
        """An object was applied; the view need not wait for the watch to say so."""
        self._own_versions[key_of(obj)] = resource_version_of(obj)
        self._pending.discard(key_of(obj))
        self._unhealthy_since = None
        self._parts.view.put(obj)

    def read(self, obj: Object) -> None:
        """An object was read and is as it should be; its first turn in a watch is no news."""
        self._own_versions[key_of(obj)] = resource_version_of(obj)
        self._parts.view.put(obj)

    def applied(self, desired: Desired, put_off: Iterable[ObjectKey]) -> None:
        """Everything that may be done is done."""
        waiting = set(put_off)
        deferred_prunes = {change.key for change in self._change_set.prunes} if self._status.prune_problem else set()
        self._pending = waiting | deferred_prunes
        self._status = replace(self._status, problem=None)
        if not waiting:
            self._status = replace(self._status, applied_revision=desired.revision)
            self._stamp("applied")

    def prune_refused(self, error: TowpathError | None) -> None:
        """A guard stopped the pruning, or did not."""
        problem = self._problem(error, self._status.prune_problem)
        self._status = replace(self._status, prune_problem=problem)

    def failed(self, error: TowpathError) -> None:
        """The reconciliation failed; what ran before keeps running."""
        self._status = replace(self._status, problem=self._problem(error, self._status.problem))
        self.refresh()

    def ended(self, *, trigger: str, result: Result, seconds: float) -> None:
        """A reconciliation is over; remembered unless it found nothing to do."""
        failed = result is Result.FAILED
        if failed and self._status.problem is not None and self._status.problem.waiting:
            result = Result.WAITING
        self._parts.meter.reconciled(self._environment, result.value, seconds)
        if not failed and self._status.problem is not None:
            self._status = replace(self._status, problem=None)
            self.refresh()
        last = self._operations[-1] if self._operations else None
        problem = self._status.problem
        summary = problem.message if failed and problem else self._change_set.summary()
        repeated = last is not None and result in {Result.FAILED, Result.HELD, Result.WAITING} and (
            (last.result, last.summary, last.revision) == (result, summary, self._status.revision)
        )  # fmt: skip
        if result is Result.UNCHANGED or repeated:
            return
        now = self._parts.clock.now()
        self._operations.append(Operation(now, trigger, self._status.revision, result, summary, seconds))
        self._status = replace(self._status, operations=tuple(self._operations))

    # --- told by the watches

    def concerns(self, key: ObjectKey, before: Object | None, after: Object | None) -> bool:
        """Whether this change of a live object may be drift, and so wants a reconciliation."""
        if self._desired is None or all(change.key != key for change in self._change_set.changes):
            return False
        if after is None:
            return True
        if resource_version_of(after) == self._own_versions.get(key):
            return False
        return before is None or bool(diff(before, after))

    # --- asked

    def is_healthy_before(self, wave: int) -> bool:
        """Whether all objects of lower waves are healthy; if not, the application is woken when they are."""
        self.refresh()
        if self._assessment is None or self._assessment.are_fine(self._managed_before(wave)):
            return True
        self._waiting_wave = wave
        return False

    def stuck_pods(self) -> list[tuple[Object, Object]]:
        """StatefulSets of ours with the pods that block their rollout."""
        if self._status.hold is not None:
            return []
        found: list[tuple[Object, Object]] = []
        for change in self._change_set.changes:
            live = self._parts.view.find(change.key)
            if change.key.kind != "StatefulSet" or change.desired is None or live is None:
                continue
            if change.action is not Action.SKIPPED and change.key not in self._pending:
                found += [(live, pod) for pod in find_stuck_pods(live, self._parts.view.pods(change.key.namespace))]
        return found

    def seconds_to_deadline(self) -> float | None:
        """How long until a release that is not healthy counts as degraded; None if nothing is under way."""
        if self._unhealthy_since is None:
            return None
        passed = self._parts.clock.monotonic() - self._unhealthy_since
        remaining = self._settings.progress_deadline_seconds - passed
        return remaining if remaining > 0 else None

    def refresh(self) -> None:
        """Judge everything again."""
        if self._desired is None:
            self._publish(self._status)
            return
        assessment = self._assess(self._desired, late=False)
        if assessment.is_fine:
            self._unhealthy_since = None
        elif self._unhealthy_since is None:
            self._unhealthy_since = self._parts.clock.monotonic()
        elif self.seconds_to_deadline() is None:
            assessment = self._assess(self._desired, late=True)
        self._assessment = assessment
        self._observe(assessment)
        self._publish(self._judge(self._desired, assessment))

    def _assess(self, desired: Desired, *, late: bool) -> Assessment:
        return assess_application(
            desired,
            self._change_set,
            find=self._parts.view.find,
            pods=self._parts.view.pods,
            pending=self._pending,
            late_after_seconds=self._settings.progress_deadline_seconds if late else None,
        )

    def _judge(self, desired: Desired, assessment: Assessment) -> ApplicationStatus:
        now = self._parts.clock.now()
        health, message = assessment.health.status, assessment.health.message
        sync, sync_message = self._sync()
        settled = sync is Sync.SYNCED and self._status.applied_revision == desired.revision
        is_ready = settled and assessment.is_fine and desired.caught_up and self._waiting_wave is None
        if is_ready:
            self._stamp("ready")
        if self._waiting_wave is not None and assessment.are_fine(self._managed_before(self._waiting_wave)):
            self._waiting_wave = None
            self._parts.wake(self._environment, "the wave before is healthy")
        since = self._status.healthy_since or now
        return replace(
            self._status,
            sync=sync,
            sync_message=sync_message,
            health=health,
            health_message=message,
            services={
                name: replace(
                    service,
                    verdict=self._parts.verdicts.find(self._environment, name, service.desired.digest)
                    if service.desired
                    else None,
                )
                for name, service in assessment.services.items()
            },
            resources=assessment.resources,
            drift=self._drift.records,
            ready=is_ready,
            healthy_since=since if health is Health.HEALTHY else None,
        )

    def _managed_before(self, wave: int) -> list[ObjectKey]:
        applied = {Action.CREATED, Action.CONFIGURED, Action.UNCHANGED}
        return [change.key for change in self._change_set.changes if change.wave < wave and change.action in applied]

    def _sync(self) -> tuple[Sync, str]:
        if self._status.problem is not None:
            return (Sync.OUT_OF_SYNC if self._pending else Sync.UNKNOWN), self._status.problem.message
        if self._pending:
            shown = ", ".join(str(key) for key in sorted(self._pending)[:3])
            more = f" and {len(self._pending) - 3} more" if len(self._pending) > 3 else ""
            reason = f" ({self._status.hold.reason})" if self._status.hold else ""
            return Sync.OUT_OF_SYNC, f"{shown}{more} differ from Git{reason}"
        return Sync.SYNCED, ""

    def _observe(self, assessment: Assessment) -> None:
        for seen in observations(assessment, self._environment):
            self._parts.verdicts.observe(seen, commit=self._status.revision)

    def _publish(self, status: ApplicationStatus) -> None:
        changed = status != self._status
        self._status = status
        if changed:
            fine = status.health in {Health.HEALTHY, Health.SUSPENDED}
            self._parts.meter.state(self._environment, synced=status.sync is Sync.SYNCED, healthy=fine)
        self.on_refresh()

    def _stamp(self, stage: str) -> None:
        desired = self._desired
        if desired is None or not desired.caught_up:
            return
        revisions = {artifact.revision for artifact in desired.artifacts.values() if artifact.revision}
        commits = (desired.revision, *sorted(revisions - {desired.revision}))
        if self._stamped.get(stage) == commits:
            return
        self._stamped[stage] = commits
        for commit in commits:
            self._parts.recorder.stamp(commit, stage, environment=self._environment)

    def _problem(self, error: TowpathError | None, before: Problem | None) -> Problem | None:
        if error is None:
            return None
        if before is not None and before.message == error.message:
            return before
        return Problem(
            error.message, self._parts.clock.now(), error.hint, waiting=isinstance(error, FirstBuildAwaitedError)
        )
