"""What reconciler and timeline tell, as metrics."""

from towpath.observe.metrics import Metrics
from towpath.observe.timeline import Span
from towpath.server.meter import ReconcileMeter, StageMeter


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_reconciliations_drift_and_states_are_counted() -> None:
    metrics = Metrics(version="1")
    meter = ReconcileMeter(metrics)
    meter.reconciled("dev", "applied", 0.5)
    meter.drifted("dev")
    meter.state("dev", synced=True, healthy=False)

    assert value(metrics, "towpath_reconciles_total", environment="dev", result="applied") == 1
    assert value(metrics, "towpath_reconcile_seconds_sum", environment="dev") == 0.5
    assert value(metrics, "towpath_drift_total", environment="dev") == 1
    assert value(metrics, "towpath_environment_synced", environment="dev") == 1
    assert value(metrics, "towpath_environment_healthy", environment="dev") == 0


def test_the_last_stage_gives_the_time_from_push_to_ready() -> None:
    metrics = Metrics(version="1")
    meter = StageMeter(metrics, revision_of=lambda _: "c1")
    meter.passed("c1", Span("built", "", 0.5, 1.5))
    meter.passed("c1", Span("ready", "dev", 2.0, 3.0))

    assert value(metrics, "towpath_stage_seconds_sum", stage="built", environment="") == 1.0
    assert value(metrics, "towpath_stage_seconds_sum", stage="ready", environment="dev") == 1.0
    assert value(metrics, "towpath_push_to_ready_seconds_sum", environment="dev") == 3.0


def test_an_older_commit_that_is_promoted_waited_for_a_person_and_is_not_counted() -> None:
    metrics = Metrics(version="1")
    meter = StageMeter(metrics, revision_of=lambda _: "the promotion")
    meter.passed("an older commit", Span("ready", "prod", 86400.0, 86401.0))

    assert value(metrics, "towpath_push_to_ready_seconds_count", environment="prod") is None
    assert value(metrics, "towpath_stage_seconds_count", stage="ready", environment="prod") is None
