"""The numbers."""

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from towpath.observe.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(metrics.exposition()[0].decode())
        for sample in family.samples
    }


def test_webhooks_are_read_from_who_counts_them_at_each_look() -> None:
    metrics, received = Metrics(version="1"), Counter({("github", "accepted"): 2})
    metrics.read_deliveries(received)
    received["github", "BadSignature"] += 1

    found = samples(metrics)

    assert found["towpath_webhook_deliveries_total[('provider', 'github'), ('reason', 'accepted')]"] == 2
    assert found["towpath_webhook_deliveries_total[('provider', 'github'), ('reason', 'BadSignature')]"] == 1


def test_an_outside_repository_shows_when_it_last_answered() -> None:
    metrics = Metrics(version="1")
    last: list[float | None] = [None]
    metrics.read_remote(lambda: last[0], lambda: 3)
    before = samples(metrics)
    last[0] = 1000.0

    assert before["towpath_remote_last_success_timestamp_seconds[]"] == 0
    assert samples(metrics)["towpath_remote_last_success_timestamp_seconds[]"] == 1000
    assert before["towpath_remote_failures[]"] == 3


def test_two_platforms_share_no_numbers() -> None:
    one, other = Metrics(version="1"), Metrics(version="1")
    one.rollbacks.labels(environment="prod").inc()

    assert "towpath_rollbacks_total{" in one.exposition()[0].decode()
    assert "towpath_rollbacks_total{" not in other.exposition()[0].decode()
