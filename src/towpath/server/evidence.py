"""What the gate and the rollback ask about the runtime, answered by the reconciler."""

from towpath.kube.health import Health
from towpath.observe.sources import Applications
from towpath.promote.gate.evidence import Standing
from towpath.promote.rollback import Standing as PastStanding
from towpath.reconcile.verdicts import Outcome


class ReconciledRuntime:
    """`promote.gate.evidence.Runtime` and `promote.rollback.Verdicts` over the reconciler."""

    def __init__(self, reconciler: Applications) -> None:
        self._reconciler = reconciler

    async def standing(self, environment: str, service: str) -> Standing | None:
        """How a service stands in an environment; None if it does not run there."""
        if environment not in self._reconciler.environments:
            return None
        status = self._reconciler.status(environment).services.get(service)
        if status is None or status.desired is None:
            return None
        digest = status.desired.digest
        degraded = status.health is Health.DEGRADED
        running = set(status.live_digests)
        if running - {digest}:
            # Two versions at once: neither has been proven alone.
            message = f"a rollout is under way: {status.message or 'old pods still run'}"
            return Standing(digest, None, message, degraded=degraded)
        verdict = self._reconciler.verdicts.find(environment, service, digest)
        if verdict is None or verdict.outcome is not Outcome.HEALTHY:
            reason = verdict.reason if verdict else ""
            message = status.message or reason or status.health.value.lower()
            return Standing(digest, None, message, degraded=degraded)
        return Standing(digest, verdict.since)

    async def standing_of(self, environment: str, service: str, digest: str) -> PastStanding:
        """What became of a digest there."""
        verdict = self._reconciler.verdicts.find_last_known(environment, service, digest)
        if verdict is None:
            return PastStanding.UNKNOWN
        if verdict.outcome is Outcome.HEALTHY:
            return PastStanding.HEALTHY
        bad = verdict.outcome in {Outcome.DEGRADED, Outcome.ROLLED_BACK}
        return PastStanding.DEGRADED if bad else PastStanding.UNKNOWN
