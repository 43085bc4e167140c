"""From client-side to server-side apply with kubectl."""

import json
from typing import Any

import pytest

from towpath.kube.apply import apply, track_update
from towpath.kube.apply.last_applied import LAST_APPLIED
from towpath.kube.errors import ApiConflictError
from towpath.kube.objects import Object
from towpath.kube.schema import Schema

TIME = "2026-01-01T00:00:00Z"


def config_map(data: dict[str, str], **annotations: str) -> Object:
    metadata: dict[str, Any] = {"name": "a", "namespace": "dev"}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def client_applied(schema: Schema, data: dict[str, str]) -> Object:
    obj = config_map(data, **{LAST_APPLIED: json.dumps(config_map(data))})
    return track_update(schema, live=None, new=obj, manager="kubectl-client-side-apply", time=TIME)


def test_kubectl_takes_over_what_client_side_apply_wrote(schema: Schema) -> None:
    live = client_applied(schema, {"x": "1"})
    obj = apply(schema, live=live, config=config_map({"x": "2"}), manager="kubectl", time=TIME)
    assert obj["data"] == {"x": "2"}
    assert json.loads(obj["metadata"]["annotations"][LAST_APPLIED])["data"] == {"x": "2"}


def test_what_changed_since_is_still_a_conflict(schema: Schema) -> None:
    live = client_applied(schema, {"x": "1"})
    live = {**live, "data": {"x": "edited"}}
    with pytest.raises(ApiConflictError):
        apply(schema, live=live, config=config_map({"x": "2"}), manager="kubectl", time=TIME)


def test_other_managers_get_no_such_favour(schema: Schema) -> None:
    live = client_applied(schema, {"x": "1"})
    with pytest.raises(ApiConflictError):
        apply(schema, live=live, config=config_map({"x": "2"}), manager="towpath", time=TIME)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"apiVersion":"v2"}', '{"apiVersion":"v1","metadata":{"finalizers":[{}]}}']
)
def test_an_annotation_that_makes_no_sense_allows_nothing(schema: Schema, text: str) -> None:
    live = client_applied(schema, {"x": "1"})
    live["metadata"]["annotations"][LAST_APPLIED] = text
    with pytest.raises(ApiConflictError):
        apply(schema, live=live, config=config_map({"x": "2"}), manager="kubectl", time=TIME)


def test_an_object_without_the_annotation_gets_none(schema: Schema) -> None:
    obj = apply(schema, live=None, config=config_map({"x": "1"}), manager="kubectl", time=TIME)
    assert "annotations" not in obj["metadata"]


def test_an_annotation_that_would_be_too_large_is_dropped(schema: Schema) -> None:
    live = client_applied(schema, {"x": "1"})
    obj = apply(schema, live=live, config=config_map({"x": "1", "big": "y" * 300_000}), manager="kubectl", time=TIME)
    assert LAST_APPLIED not in obj["metadata"]["annotations"]


def test_only_what_the_annotation_does_not_cover_is_a_conflict(schema: Schema) -> None:
    live = client_applied(schema, {"x": "1", "y": "1"})
    live = {**live, "data": {"x": "1", "y": "edited"}}
    with pytest.raises(ApiConflictError) as refusal:
        apply(schema, live=live, config=config_map({"x": "2", "y": "2"}), manager="kubectl", time=TIME)
    assert [cause["field"] for cause in refusal.value.causes] == [".data.y"]


def test_the_annotation_follows_even_when_nothing_else_changes(schema: Schema) -> None:
    live = apply(
        schema, live=client_applied(schema, {"x": "1"}), config=config_map({"x": "1"}), manager="kubectl", time=TIME
    )
    live["metadata"]["annotations"][LAST_APPLIED] = "{}"
    obj = apply(schema, live=live, config=config_map({"x": "1"}), manager="kubectl", time=TIME)
    assert json.loads(obj["metadata"]["annotations"][LAST_APPLIED]) == config_map({"x": "1"})


def test_an_empty_map_of_annotations_is_recorded_as_applied(schema: Schema) -> None:
    config = config_map({"x": "1"})
    config["metadata"]["annotations"] = {}
    obj = apply(schema, live=client_applied(schema, {"x": "1"}), config=config, manager="kubectl", time=TIME)
    assert json.loads(obj["metadata"]["annotations"][LAST_APPLIED]) == config
