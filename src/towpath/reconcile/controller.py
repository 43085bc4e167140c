"""The reconciler: keeps every environment as Git wants it, for ever.

Triggers (a push, a moved channel, drift, a person, the timer as the floor) only put an environment into a work queue;
what is to be done is read anew each time, so the newest commit wins and a lost trigger costs time, never a state.
A failed reconciliation comes back after a back-off without end. Nothing that must last lives here.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock
from towpath.aio.tasks import Background
from towpath.aio.workqueue import WorkQueue
from towpath.errors import NotFoundError, TowpathError
from towpath.kube.errors import ApiError, ForbiddenError
from towpath.kube.objects import Object, ObjectKey, gvk_of, key_of, labels_of, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions
from towpath.reconcile.application import Application
from towpath.reconcile.artifacts import FirstBuildAwaitedError
from towpath.reconcile.changes import ChangeSet
from towpath.reconcile.desired import DesiredSource
from towpath.reconcile.drift import DriftMode
from towpath.reconcile.events import WARNING, Events
from towpath.reconcile.holds import Holds
from towpath.reconcile.live import POD, LiveView
from towpath.reconcile.marks import ENVIRONMENT_LABEL
from towpath.reconcile.parts import Meter, Parts, Recorder, Settings
from towpath.reconcile.ports import ResourceClient
from towpath.reconcile.refusals import RIGHTS_HINT
from towpath.reconcile.status import ApplicationStatus, Hold, Result
from towpath.reconcile.verdicts import VerdictLog, Verdicts

log = logging.getLogger(__name__)
# From half a second, as most loops here, to a minute: an outage of hours costs little, its end is noticed soon.
RETRY = Backoff(initial_seconds=0.5, factor=2.0, cap_seconds=60.0)


class Reconciler:
    """All applications of a platform."""

    def __init__(
        self,
        client: ResourceClient,
        source: DesiredSource,
        environments: Iterable[str],
        *,
        clock: Clock,
        new_uid: Callable[[], str],
        notes: VerdictLog,
        recorder: Recorder,
        meter: Meter,
        settings: Settings | None = None,
    ) -> None:
        """Join the parts; nothing happens before `start`.

        Args:
            client: the cluster.
            source: what is desired.
            environments: their names; `add_environment` takes later ones.
            clock: time for records and back-offs.
            new_uid: makes event names unique.
            notes: where verdicts and holds last.
            recorder: told planned, applied and ready.
            meter: told counts and states.
            settings: how every application is reconciled.
        """
        self._verdicts = Verdicts(notes, clock=clock)
        self._notes = notes
        self._clock = clock
        self._settings = settings or Settings()
        self._queue: WorkQueue[str] = WorkQueue(RETRY)
        self._background = Background()
        self._reasons: dict[str, list[str]] = {}
        self._freed: set[str] = set()  # pods, by uid
        self._reported: dict[str, str] = {}
        self._listeners: list[Callable[[ApplicationStatus], None]] = []
        self._dirty: set[str] = set()
        self._told: dict[str, ApplicationStatus] = {}
        self._changed = asyncio.Event()
        view = LiveView(client)
        self._parts = Parts(
            client=client,
            source=source,
            view=view,
            clock=clock,
            recorder=recorder,
            meter=meter,
            verdicts=self._verdicts,
            holds=Holds(notes, clock=clock),
            events=Events(client, clock=clock, new_uid=new_uid),
            wake=self.trigger,
        )
        view.subscribe(self._on_live)
        self._applications: dict[str, Application] = {}
        for environment in environments:
            self._add(environment)

    # --- life

    async def start(self) -> None:
        """Begin: read the notes of the past, then reconcile everything."""
        notes = await self._notes.all_notes()
        self._verdicts.load(notes)
        self._parts.holds.load(notes)
        self._background.run_forever("verdict notes", self._follow_up)
        for environment in self._applications:
            self._start_worker()
            self.trigger(environment, "start")

    async def close(self) -> None:
        """End: what is under way is cancelled where it stands, which is safe, and verdicts are written."""
        self._queue.close()
        await self._background.close()
        await self._parts.view.close()
        await self._verdicts.flush()

    # --- commands

    def add_environment(self, environment: str) -> None:
        """Reconcile one more environment from now on; one that is known already is left as it is."""
        if environment not in self._applications:
            self._add(environment)
            self._start_worker()
            self.trigger(environment, "new environment")

    def trigger(self, environment: str, reason: str) -> None:
        """Ask for a reconciliation soon. Unknown environments are ignored: the blueprint may have dropped them."""
        if environment in self._applications:
            reasons = self._reasons.setdefault(environment, [])
            if reason not in reasons:
                reasons.append(reason)
            self._queue.add(environment)

    def trigger_all(self, reason: str) -> None:
        """Ask for a reconciliation of every environment: Git has moved."""
        for environment in self._applications:
            self.trigger(environment, reason)

    def confirm_prune(self, environment: str) -> None:
        """Let the next reconciliation delete beyond the guards, once. Raises NotFoundError."""
        self._get(environment).confirm_prune()
        self.trigger(environment, "prune confirmed")

    async def hold(self, environment: str, *, reason: str, by: str = "", until: float | None = None) -> None:
        """Pause automation: plan and report, write nothing. `until` is wall time in seconds.

        Raises:
            NotFoundError: no such environment, or its repository has no commit yet.
        """
        hold = Hold(reason, self._clock.now(), by, until)
        await self._parts.holds.hold(environment, hold, commit=await self._head(environment))
        self.trigger(environment, "hold")

    async def resume(self, environment: str) -> bool:
        """Go on; False if there was no hold. Raises NotFoundError."""
        resumed = await self._parts.holds.resume(environment, commit=await self._head(environment))
        self.trigger(environment, "resume")
        return resumed

    def set_drift_mode(self, environment: str, mode: DriftMode) -> None:
        """Heal drift, or only report it. Raises NotFoundError."""
        application = self._get(environment)
        if application.settings.drift_mode is not mode:
            application.configure(replace(application.settings, drift_mode=mode))
            self.trigger(environment, f"drift mode {mode}")

    # --- questions

    @property
    def verdicts(self) -> Verdicts:
        """The fate of releases."""
        return self._verdicts

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of all applications."""
        return tuple(self._applications)

    def status(self, environment: str) -> ApplicationStatus:
        """How an application stands at this moment. Raises NotFoundError."""
        return self._get(environment).standing.status

    async def diff(self, environment: str) -> ChangeSet:
        """What a reconciliation would do at this moment; writes nothing.

        Raises:
            NotFoundError: no such environment.
            TowpathError: the desired state cannot be made, or the cluster would refuse it.
        """
        return await self._get(environment).plan()

    def on_change(self, listener: Callable[[ApplicationStatus], None]) -> Callable[[], None]:
        """Have `listener` called with each new status; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- the loop

    def _add(self, environment: str) -> None:
        application = Application(environment, self._parts, self._settings)
        application.standing.on_refresh = lambda: self._mark_told(environment)
        self._applications[environment] = application

    def _start_worker(self) -> None:
        # As many workers as environments: a slow one never keeps another waiting.
        self._background.run_forever("reconcile", self._work)

    async def _work(self) -> None:
        await self._queue.work(self._reconcile, self._report)

    async def _reconcile(self, environment: str) -> None:
        application = self._applications[environment]
        reasons = ", ".join(self._reasons.pop(environment, [])) or "timer"
        started = self._clock.monotonic()
        result = Result.FAILED
        try:
            result = await application.reconcile()
        except TowpathError as error:
            if isinstance(error, ForbiddenError):
                error.hint = error.hint or RIGHTS_HINT
            application.standing.failed(error)
            raise
        except Exception as error:
            application.standing.failed(TowpathError(f"application {environment} failed (Internal): {error!r}"))
            raise
        finally:
            seconds = self._clock.monotonic() - started
            application.standing.ended(trigger=reasons, result=result, seconds=seconds)
        self._reported.pop(environment, None)
        self._queue.add_after(environment, application.seconds_to_next())

    def _report(self, environment: str, error: Exception) -> None:
        if self._reported.get(environment) == str(error):
            return  # tried again for ever, told once
        self._reported[environment] = str(error)
        if isinstance(error, FirstBuildAwaitedError):
            log.info("application %s: %s", environment, error)
        elif isinstance(error, TowpathError):
            log.warning("application %s: %s", environment, error)
        else:
            log.error("application %s failed", environment, exc_info=error)

    def _on_live(self, key: ObjectKey, before: Object | None, after: Object | None) -> None:
        if key.kind == POD.kind:
            for environment, application in self._applications.items():
                if application.has_namespace(key.namespace):
                    self._mark(environment)
            return
        for obj in (after, before):
            environment = labels_of(obj or {}).get(ENVIRONMENT_LABEL, "")
            application_of = self._applications.get(environment)
            if application_of is not None:
                self._mark(environment)
                if application_of.standing.concerns(key, before, after):
                    self.trigger(environment, f"{key} changed")
                return

    def _mark(self, environment: str) -> None:
        """Judge this environment again, once for all changes of this turn of the event loop."""
        if environment not in self._dirty:
            self._dirty.add(environment)
            asyncio.get_running_loop().call_soon(self._refresh, environment)

    def _refresh(self, environment: str) -> None:
        self._dirty.discard(environment)
        self._applications[environment].standing.refresh()

    def _mark_told(self, environment: str) -> None:
        status = self._applications[environment].standing.status
        self._changed.set()
        if self._told.get(environment) == status:
            return
        self._told[environment] = status
        for listener in list(self._listeners):
            try:
                listener(status)
            except Exception:
                log.exception("a listener to %s failed", environment)

    async def _follow_up(self) -> None:
        """What a new status asks for that takes time: verdict notes, and pods that block a rollout."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for application in list(self._applications.values()):
                for stateful_set, pod in application.standing.stuck_pods():
                    await self._free(stateful_set, pod)
            await self._verdicts.flush()

    async def _free(self, stateful_set: Object, pod: Object) -> None:
        if uid_of(pod) in self._freed:
            return
        self._freed.add(uid_of(pod))
        message = f"deleted pod {name_of(pod)}: it is of an older revision, not ready, and blocks the rollout"
        log.warning("%s: %s", key_of(stateful_set), message)
        try:
            await self._parts.client.delete(POD, name_of(pod), namespace_of(pod), DeleteOptions(uid=uid_of(pod)))
        except ApiError as error:
            self._freed.discard(uid_of(pod))  # the next change of its state is the next try
            log.warning("pod %s could not be deleted: %s", name_of(pod), error)
            return
        await self._parts.events.tell(
            key_of(stateful_set), gvk_of(stateful_set), reason="FreedStuckPod", message=message, type_=WARNING
        )

    async def _head(self, environment: str) -> str:
        known = self._get(environment).standing.status.revision
        return known or (await self._parts.source.resolve(environment)).revision

    def _get(self, environment: str) -> Application:
        application = self._applications.get(environment)
        if application is None:
            raise NotFoundError(
                f"environment {environment} is not known (NotFound): there are "
                f"{', '.join(self._applications) or 'none'}",
                hint="name one of them",
            )
        return application
