"""One environment's application: a reconciliation from desired state to cluster, safe to end at any instruction.

 1. learn what is desired (Git, render, registry) and what is live (inventory and reads);
 2. create namespaces that are missing, so that the rest can be tried in them;
 3. dry-run everything; plan;
 4. note the drift; put off what is fought over, or only reported;
 5. write what will exist into the inventory, then apply wave by wave; a later wave waits until the earlier is healthy;
 6. prune behind its guards; write what does exist into the inventory.
Nothing waits here for health: a turn of the watches wakes the application again. How it fares is `standing`'s business.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from towpath.kube.objects import GVK, Object, ObjectKey, gvk_of, key_of, namespace_of
from towpath.reconcile.apply import apply_changes
from towpath.reconcile.changes import Action, Change, ChangeSet
from towpath.reconcile.desired import Desired
from towpath.reconcile.drift import DriftLog, DriftMode, DriftState
from towpath.reconcile.events import WARNING
from towpath.reconcile.inventory import Inventory
from towpath.reconcile.live import scopes_of
from towpath.reconcile.marks import mark, wave_of
from towpath.reconcile.parts import Parts, Settings
from towpath.reconcile.plan import plan, waves_of
from towpath.reconcile.preview import Previewer, read_live, versions_of
from towpath.reconcile.prune import PruneRefusedError, check_prune, prune
from towpath.reconcile.refusals import ApplyError
from towpath.reconcile.standing import Standing
from towpath.reconcile.status import Result

log = logging.getLogger(__name__)
# What others must exist in before they can be tried.
FOUNDATIONS = frozenset({"Namespace", "CustomResourceDefinition"})


@dataclass(slots=True)
class Planned:
    """A plan with all it was made from."""

    desired: Desired
    live: dict[ObjectKey, Object]
    inventory: dict[ObjectKey, GVK]
    change_set: ChangeSet
    laid: set[ObjectKey]  # created already, so that the rest could be tried
    error: ApplyError | None = None


class Application:
    """The application of one environment. One reconciliation at a time."""

    def __init__(self, environment: str, parts: Parts, settings: Settings) -> None:
        self.environment = environment
        self.settings = settings
        self.drift = DriftLog(parts.clock)
        self.standing = Standing(environment, parts, settings, self.drift)
        self._parts = parts
        self._previewer = Previewer(parts.client)
        self._inventory: Inventory | None = None
        self._applied: set[ObjectKey] = set()
        self._prune_confirmed = False

    def confirm_prune(self) -> None:
        """Let the next reconciliation delete beyond the guards, once."""
        self._prune_confirmed = True

    def configure(self, settings: Settings) -> None:
        """Go by other settings from the next reconciliation on."""
        self.settings = settings
        self.standing.configure(settings)

    def has_namespace(self, namespace: str) -> bool:
        """Whether objects of this application live there."""
        return any(key.namespace == namespace for key in self._applied)

    def seconds_to_next(self) -> float:
        """When to look again without a trigger: a put-off heal, the progress deadline, the end of a hold, the timer."""
        moments = [self.settings.resync_seconds]
        hold = self._parts.holds.find(self.environment)
        if hold is not None and hold.until is not None:
            moments.append(hold.until - self._parts.clock.now())
        if self.settings.drift_mode is DriftMode.HEAL:
            delays = (self.drift.heal_delay_seconds(key) for key in self.drift.open_keys())
            moments += [delay for delay in delays if delay > 0]
        deadline = self.standing.seconds_to_deadline()
        return min([*moments, *([deadline] if deadline is not None else [])])

    async def reconcile(self) -> Result:
        """Make live what is desired. Raises TowpathError; what was done until then stays done."""
        desired = await self._parts.source.resolve(self.environment)
        hold = self._parts.holds.find(self.environment)
        planned = await self._plan(desired, write=hold is None)
        self.standing.planned(desired, planned.change_set, done=planned.laid, hold=hold)
        if hold is not None:
            return Result.HELD
        put_off = await self._note_drift(planned.change_set)
        try:
            result = await self._carry_out(planned, put_off)
        except ApplyError:
            await self._follow(planned)
            raise
        await self._follow(planned)
        if planned.error is not None:
            raise planned.error
        return result

    async def plan(self) -> ChangeSet:
        """What a reconciliation would do at this moment; writes nothing. Raises TowpathError."""
        planned = await self._plan(await self._parts.source.resolve(self.environment), write=False)
        if planned.error is not None:
            raise planned.error
        return planned.change_set

    async def _plan(self, desired: Desired, *, write: bool) -> Planned:
        marked = [mark(obj, application=desired.application, environment=self.environment) for obj in desired.objects]
        inventory = await self._open_inventory(desired).load()
        live = await read_live(self._parts.client, {**inventory, **versions_of(marked)})
        missing = [obj for obj in marked if obj["kind"] in FOUNDATIONS and key_of(obj) not in live]
        laid = {key_of(obj) for obj in missing} if write else set()
        if laid:
            await self._lay_foundations(missing, live, inventory, desired)
        absent = {obj["metadata"]["name"] for obj in missing if obj["kind"] == "Namespace"} if not write else set()
        tried = [obj for obj in marked if namespace_of(obj) not in absent]
        previews = await self._previewer.preview(tried, live)
        change_set = plan(
            marked,
            live,
            application=desired.application,
            previews=previews.objects,
            inventory=inventory,
            keep=desired.not_promoted.keys(),
        )
        # What is skipped is nobody's business here, so neither are the server's objections to it.
        skipped = {change.key for change in change_set.skipped}
        refusals = [refusal for refusal in previews.refusals if refusal.key not in skipped]
        error = ApplyError(refusals) if refusals else None
        return Planned(desired, live, inventory, self._with_history(change_set, laid), laid, error)

    def _open_inventory(self, desired: Desired) -> Inventory:
        if self._inventory is None:
            self._inventory = Inventory(
                self._parts.client,
                environment=self.environment,
                application=desired.application,
                namespace=self.settings.inventory_namespace,
            )
        return self._inventory

    async def _lay_foundations(
        self,
        missing: Sequence[Object],
        live: dict[ObjectKey, Object],
        inventory: dict[ObjectKey, GVK],
        desired: Desired,
    ) -> None:
        inventory.update(versions_of(missing))
        await self._open_inventory(desired).save(inventory)
        changes = [Change(key_of(obj), gvk_of(obj), Action.CREATED, wave_of(obj), desired=obj) for obj in missing]
        for obj in await apply_changes(self._parts.client, changes):
            live[key_of(obj)] = obj
            self.standing.wrote(obj)
            self._applied.add(key_of(obj))

    def _with_history(self, change_set: ChangeSet, laid: set[ObjectKey]) -> ChangeSet:
        """The plan, with what the plan alone cannot know."""
        changes = []
        for change in change_set.changes:
            if change.key in laid:
                changes.append(replace(change, action=Action.CREATED))
            elif change.action is Action.CREATED and change.key in self._applied:
                # This process has applied it, and it is gone: somebody else has deleted it.
                changes.append(replace(change, drift=True))
            else:
                changes.append(change)
        return ChangeSet(tuple(changes))

    async def _note_drift(self, change_set: ChangeSet) -> set[ObjectKey]:
        """Record every drift, and say which objects are not to be healed in this turn."""
        put_off: set[ObjectKey] = set()
        for change in change_set.drifted:
            record, is_new = self.drift.found(change)
            if is_new:
                log.warning("drift in %s: %s", self.environment, record.describe())
                self._parts.meter.drifted(self.environment)
                await self._parts.events.tell(
                    change.key, change.gvk, reason="Drifted", message=record.describe(), type_=WARNING
                )
            if self.settings.drift_mode is DriftMode.REPORT or self.drift.heal_delay_seconds(change.key) > 0:
                put_off.add(change.key)
        drifted = {change.key for change in change_set.drifted}
        # Undone by whoever made it, or overtaken by a commit.
        self.drift.settled(self.drift.open_keys() - drifted, DriftState.HEALED)
        if self.settings.drift_mode is DriftMode.REPORT:
            self.drift.settled(drifted, DriftState.REPORTED)
        return put_off

    async def _carry_out(self, planned: Planned, put_off: set[ObjectKey]) -> Result:
        inventory = self._open_inventory(planned.desired)
        refused = {refusal.key for refusal in planned.error.refusals} if planned.error else set()
        applies = [change for change in planned.change_set.applies if change.key not in put_off | planned.laid]
        managed = {
            change.key: change.gvk
            for change in planned.change_set.changes
            if change.desired is not None and change.action is not Action.SKIPPED
        }
        wanted = {key: gvk for key, gvk in managed.items() if key not in refused}
        if applies and not refused.issuperset(change.key for change in applies):
            await inventory.save({**planned.inventory, **wanted})
        for change in planned.change_set.changes:
            if change.action is Action.UNCHANGED and change.desired is not None and change.live is not None:
                self._previewer.remember(change.desired, change.live)
                self.standing.read(change.live)
                self._applied.add(change.key)
        for wave in waves_of(applies):
            if refused & {change.key for change in wave}:
                return Result.FAILED  # the error is raised when all that can be done is done
            if not self.standing.is_healthy_before(wave[0].wave):
                return Result.WAITING
            await self._apply(wave)
        if planned.error is not None:
            return Result.FAILED
        deleted = await self._prune(planned)
        await inventory.save(self._remaining(planned, wanted, deleted))
        self.standing.applied(planned.desired, put_off)
        self._previewer.forget_all_but(managed)
        return Result.APPLIED if applies or deleted or planned.laid else Result.UNCHANGED

    async def _apply(self, wave: Sequence[Change]) -> None:
        by_key = {change.key: change for change in wave}
        # One by one, so that what is written is known to be written whatever happens to the next.
        errors: list[ApplyError] = []
        for key, change in by_key.items():
            try:
                (stored,) = await apply_changes(self._parts.client, [change])
            except ApplyError as error:
                errors.append(error)
                continue
            self._applied.add(key)
            self.standing.wrote(stored)
            if change.desired is not None:
                self._previewer.remember(change.desired, stored)
        healed = self.drift.settled((key for key in by_key if key in self._applied), DriftState.HEALED)
        for record in healed:
            message = f"restored from Git: {record.describe()}"
            await self._parts.events.tell(record.key, by_key[record.key].gvk, reason="Healed", message=message)
        if errors:
            raise ApplyError([refusal for error in errors for refusal in error.refusals])

    async def _prune(self, planned: Planned) -> set[ObjectKey]:
        confirmed = self._prune_confirmed or planned.desired.prune_confirmed
        try:
            if not confirmed:
                check_prune(
                    planned.change_set,
                    planned.inventory,
                    environment=self.environment,
                    budget=self.settings.budget,
                )
        except PruneRefusedError as error:
            self.standing.prune_refused(error)
            return set()
        self.standing.prune_refused(None)
        deleted = set(await prune(self._parts.client, planned.change_set.prunes))
        self._prune_confirmed = False
        self._applied -= deleted
        return deleted

    def _remaining(
        self, planned: Planned, wanted: Mapping[ObjectKey, GVK], deleted: Iterable[ObjectKey]
    ) -> dict[ObjectKey, GVK]:
        """The inventory after this turn: what is desired, and what exists still though Git has dropped it."""
        gone = set(deleted)
        kept = {
            change.key: change.gvk
            for change in planned.change_set.changes
            if change.desired is None and change.key not in gone and change.key in planned.live
        }
        return {**kept, **wanted}

    async def _follow(self, planned: Planned) -> None:
        # What is on its way out is followed too: its end may be what the next plan waits for.
        followed = [
            (change.gvk, change.key)
            for change in planned.change_set.changes
            if change.key in self._applied or change.live is not None
        ]
        scopes = scopes_of(followed, narrow=self.settings.narrow_watches)
        await self._parts.view.follow(scopes, reader=self.environment)
        self.standing.refresh()
