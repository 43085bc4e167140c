"""Numbers for Prometheus, under names that say their unit.

One registry a platform, no process-global state. Label values are services, environments and stages: few and known.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

# From a fast stage (10 ms) to a slow build (5 min).
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """All metrics of one platform."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self.stage_seconds = Histogram(
            "towpath_stage_seconds",
            "Time a commit spent in a stage of the pipeline.",
            ["stage", "environment"],
            registry=self.registry,
            buckets=BUCKETS,
        )
        self.push_to_ready_seconds = Histogram(
            "towpath_push_to_ready_seconds",
            "Time from a received push to ready workloads.",
            ["environment"],
            registry=self.registry,
            buckets=BUCKETS,
        )
        self.builds = Counter(
            "towpath_builds", "Service builds by result.", ["service", "result"], registry=self.registry
        )
        self.reconciles = Counter(
            "towpath_reconciles", "Reconciliations by result.", ["environment", "result"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "towpath_reconcile_seconds",
            "Time of one reconciliation.",
            ["environment"],
            registry=self.registry,
            buckets=BUCKETS,
        )
        self.drift = Counter(
            "towpath_drift", "Fields changed behind Git's back.", ["environment"], registry=self.registry
        )
        self.promotions = Counter(
            "towpath_promotions",
            "Promotions by verdict of the gate.",
            ["environment", "verdict"],
            registry=self.registry,
        )
        self.rollbacks = Counter("towpath_rollbacks", "Rollbacks.", ["environment"], registry=self.registry)
        self.webhooks = Counter(
            "towpath_webhook_deliveries", "Webhook deliveries by answer.", ["provider", "code"], registry=self.registry
        )
        self.healthy = Gauge(
            "towpath_environment_healthy",
            "1 while the environment is healthy.",
            ["environment"],
            registry=self.registry,
        )
        self.synced = Gauge(
            "towpath_environment_synced",
            "1 while the environment matches Git.",
            ["environment"],
            registry=self.registry,
        )
        build = Gauge("towpath_build_info", "Always 1; the version is a label.", ["version"], registry=self.registry)
        build.labels(version=version).set(1)

    def observe_stage(self, stage: str, environment: str, seconds: float) -> None:
        """Take one stage of one commit into the histogram."""
        self.stage_seconds.labels(stage=stage, environment=environment).observe(seconds)

    def exposition(self) -> bytes:
        """The OpenMetrics text."""
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]  # untyped in the library
        return text
