"""The reconciler's counts and states, as metrics."""

from towpath.observe.metrics import Metrics


class ReconcileMeter:
    """`reconcile.parts.Meter` over the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def reconciled(self, environment: str, result: str, seconds: float) -> None:
        """One reconciliation has ended."""
        self._metrics.reconciles.labels(environment=environment, result=result).inc()
        self._metrics.reconcile_seconds.labels(environment=environment).observe(seconds)

    def drifted(self, environment: str) -> None:
        """Somebody changed an object behind Git's back."""
        self._metrics.drift.labels(environment=environment).inc()

    def state(self, environment: str, *, synced: bool, healthy: bool) -> None:
        """How the environment stands."""
        self._metrics.synced.labels(environment=environment).set(synced)
        self._metrics.healthy.labels(environment=environment).set(healthy)
