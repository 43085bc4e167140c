"""What the reconciler and the timeline tell, as metrics."""

from collections.abc import Callable

from towpath.observe.metrics import Metrics
from towpath.observe.timeline import Span


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


class StageMeter:
    """Takes the stages of commits into the histograms."""

    def __init__(self, metrics: Metrics, *, revision_of: Callable[[str], str]) -> None:
        """`revision_of` tells the commit an environment stands at."""
        self._metrics = metrics
        self._revision_of = revision_of

    def passed(self, commit: str, span: Span) -> None:
        """A commit has passed a stage, in an environment or on the way there."""
        # An older commit whose artifact enters by promotion waited for a person, not for the pipeline.
        if span.environment and self._revision_of(span.environment) != commit:
            return
        labels = {"stage": span.stage, "environment": span.environment}
        self._metrics.stage_seconds.labels(**labels).observe(span.seconds)
        if span.stage == "ready":
            self._metrics.push_to_ready_seconds.labels(environment=span.environment).observe(span.end_seconds)
