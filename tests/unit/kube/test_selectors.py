"""Selectors in queries and in specs."""

from typing import Any

import pytest

from towpath.kube.errors import BadRequestError
from towpath.kube.selectors import FieldSelector, LabelSelector

LABELS = {"app": "sensor", "tier": "edge", "n": "5"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("app=sensor", True),
        ("app==sensor", True),
        ("app = sensor", True),
        ("app=chaos", False),
        ("app!=chaos", True),
        ("missing!=x", True),
        ("app in (sensor, chaos)", True),
        ("app in (chaos)", False),
        ("app notin (chaos),tier=edge", True),
        ("missing notin (x)", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("app=sensor,tier in (edge,core),!legacy", True),
        ("towpath.dev/environment=dev", False),
        ("app=", False),
        ("n>4", True),
        ("n<5", False),
        ("app>1", False),
    ],
)
def test_a_query_selects_by_labels(text: str, expected: bool) -> None:
    assert LabelSelector.parse(text).matches(LABELS) is expected


@pytest.mark.parametrize(
    "text", ["=x", "a=b=c", "app in sensor", "a b", "app,,tier", "-x", "app=-", "x in (,-)", "a/b/c=d"]
)
def test_a_query_that_makes_no_sense_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequestError, match="unable to parse requirement"):
        LabelSelector.parse(text)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "sensor"}}, True),
        ({"matchLabels": {"app": "sensor", "tier": "core"}}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["edge"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["edge"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_a_spec_selects_by_labels(selector: dict[str, Any] | None, expected: bool) -> None:
    assert LabelSelector.of(selector).matches(LABELS) is expected


def test_a_service_without_selector_selects_nothing() -> None:
    assert not LabelSelector.of_labels({}).matches(LABELS)
    assert LabelSelector.of_labels({"app": "sensor"}).matches(LABELS)


def test_an_unknown_operator_in_a_spec_is_refused() -> None:
    with pytest.raises(BadRequestError, match="not a valid label selector operator"):
        LabelSelector.of({"matchExpressions": [{"key": "a", "operator": "Like"}]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name==a,status.phase!=Failed", True),
        ("metadata.name!=a", False),
        ("spec.nodeName=", True),
        ("spec.unschedulable=true", True),
        ("status.phase.deeper=x", False),
        ("reason=x", False),
    ],
)
def test_a_field_query_selects_by_dotted_path(text: str, expected: bool) -> None:
    obj = {"metadata": {"name": "a"}, "status": {"phase": "Running"}, "spec": {"unschedulable": True}}
    assert FieldSelector.parse(text).matches(obj) is expected


def test_a_field_query_without_operator_is_a_bad_request() -> None:
    with pytest.raises(BadRequestError, match=r"can't understand 'metadata.name'"):
        FieldSelector.parse("metadata.name")
