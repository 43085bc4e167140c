"""Numbers for Prometheus, under names that say their unit.

One registry a platform, no process-global state. Label values are services, environments and stages: few and known.
What other parts count themselves is read from them when somebody asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from towpath.registry.counters import Family

# From a fast stage (10 ms) to a slow build (5 min).
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)


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

    def read_deliveries(self, received: Mapping[tuple[str, str], int]) -> None:
        """Show how many webhooks ended how, by (provider, reason), whenever the metrics are read."""
        self.registry.register(_Deliveries(received))

    def read_remote(self, find_last_success: Callable[[], float | None], count_failures: Callable[[], int]) -> None:
        """Show how following an outside repository goes, whenever the metrics are read."""
        self.registry.register(_Remote(find_last_success, count_failures))

    def read_registry(self, families: Callable[[], Iterable[Family]]) -> None:
        """Show what the embedded registry counts itself, whenever the metrics are read."""
        self.registry.register(_Registry(families))

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its content type: OpenMetrics for who accepts it, else what `promtool check metrics` reads."""
        encode, content_type = choose_encoder(accept)
        text: bytes = encode(self.registry)
        return text, content_type


class _Deliveries:
    def __init__(self, received: Mapping[tuple[str, str], int]) -> None:
        self._received = received

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for (provider, reason), count in self._received.items():
            family.add_metric([provider, reason], count)
        yield family

    def _family(self) -> CounterMetricFamily:
        text = "Webhook deliveries by provider and how they ended."
        return CounterMetricFamily("towpath_webhook_deliveries", text, labels=["provider", "reason"])


class _Registry:
    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        for family in self._families():
            shown = Metric(family.name, family.text, family.kind)
            for sample in family.samples:
                shown.add_sample(family.name + sample.suffix, dict(sample.labels), sample.value)
            yield shown


class _Remote:
    def __init__(self, find_last_success: Callable[[], float | None], count_failures: Callable[[], int]) -> None:
        self._find_last_success = find_last_success
        self._count_failures = count_failures

    def describe(self) -> Iterator[Metric]:
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "towpath_remote_last_success_timestamp_seconds",
            "When the outside repository last answered; 0 for never.",
            value=self._find_last_success() or 0.0,
        )
        yield GaugeMetricFamily(
            "towpath_remote_failures",
            "Looks at the outside repository that failed since the last success.",
            value=self._count_failures(),
        )
