"""What an application is made of: the collaborators it shares with its siblings, its settings, and two small ports."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.reconcile.desired import DesiredSource
from towpath.reconcile.drift import DriftMode
from towpath.reconcile.events import Events
from towpath.reconcile.holds import Holds
from towpath.reconcile.inventory import NAMESPACE as INVENTORY_NAMESPACE
from towpath.reconcile.live import LiveView
from towpath.reconcile.ports import ResourceClient
from towpath.reconcile.prune import PruneBudget
from towpath.reconcile.verdicts import Verdicts


class Recorder(Protocol):
    """Keeps when a commit passed a stage."""

    def stamp(self, commit: str, stage: str, *, environment: str = "") -> None:
        """Note that `commit` has reached `stage` in `environment`; the first time counts."""
        ...


class Meter(Protocol):
    """Counts what happens."""

    def reconciled(self, environment: str, result: str, seconds: float) -> None:
        """One reconciliation has ended."""
        ...

    def drifted(self, environment: str) -> None:
        """Somebody changed an object behind Git's back."""
        ...

    def state(self, environment: str, *, synced: bool, healthy: bool) -> None:
        """How the environment stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an application is reconciled.

    Attributes:
        drift_mode: heal or report.
        budget: how much one commit may delete without a confirmation.
        progress_deadline_seconds: a release that is not healthy by then is degraded (Kubernetes' own default).
        resync_seconds: the floor under all triggers; a resync with nothing to do writes nothing.
        inventory_namespace: where inventories are kept.
        narrow_watches: watch by namespace and name, as rights are given on a cluster that others use too.
    """

    drift_mode: DriftMode = DriftMode.HEAL
    budget: PruneBudget = field(default_factory=PruneBudget)
    progress_deadline_seconds: float = 600.0
    resync_seconds: float = 180.0
    inventory_namespace: str = INVENTORY_NAMESPACE
    narrow_watches: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The collaborators of every application. `wake(environment, reason)` asks for a reconciliation."""

    client: ResourceClient
    source: DesiredSource
    view: LiveView
    clock: Clock
    recorder: Recorder
    meter: Meter
    verdicts: Verdicts
    holds: Holds
    events: Events
    wake: Callable[[str, str], None]
