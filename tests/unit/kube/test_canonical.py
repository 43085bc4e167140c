"""Objects as they are stored."""

from typing import Any

import pytest

from towpath.kube.canonical import canonical_time
from towpath.kube.schema import Schema


def stored(schema: Schema, **fields: Any) -> dict[str, Any]:
    return schema.canonical({"apiVersion": "v1", "kind": "Pod", **fields})


def test_nulls_unknown_fields_and_empty_collections_vanish(schema: Schema) -> None:
    pod = stored(
        schema,
        metadata={"name": "a", "labels": {}, "annotations": None, "creationTimestamp": None},
        spec={"volumes": [], "containers": [{"name": "x", "env": [], "nme": "y"}], "nodeSelector": {}},
    )
    assert pod["metadata"] == {"name": "a"}
    assert pod["spec"] == {"containers": [{"name": "x"}]}


def test_empty_structs_and_required_collections_stay(schema: Schema) -> None:
    pod = stored(schema, spec={"containers": [], "securityContext": {}, "volumes": [{"name": "v", "emptyDir": {}}]})
    assert pod["spec"] == {"containers": [], "securityContext": {}, "volumes": [{"name": "v", "emptyDir": {}}]}


def test_quantities_are_canonical_wherever_they_stand(schema: Schema) -> None:
    limits = {"cpu": "1000m", "memory": "1024Mi"}
    pod = stored(
        schema, spec={"containers": [{"name": "a", "resources": {"limits": limits}}], "overhead": {"cpu": 0.5}}
    )
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert pod["spec"]["overhead"] == {"cpu": "500m"}


def test_a_bad_quantity_is_left_for_the_check(schema: Schema) -> None:
    pod = stored(schema, spec={"overhead": {"cpu": "lots"}})
    assert pod["spec"]["overhead"] == {"cpu": "lots"}


def test_free_form_data_and_field_sets_are_kept_as_they_are(schema: Schema) -> None:
    data: dict[str, object] = {"a": None, "b": {}, "c": []}
    revision = schema.canonical({"apiVersion": "apps/v1", "kind": "ControllerRevision", "data": data, "revision": 0})
    assert revision["data"] == data
    entry = {"manager": "m", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    assert stored(schema, metadata={"managedFields": [entry]})["metadata"]["managedFields"] == [entry]


def test_the_copy_shares_nothing_that_could_be_changed(schema: Schema) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}]}}
    schema.canonical(pod)["spec"]["containers"][0]["name"] = "b"
    assert pod["spec"] == {"containers": [{"name": "a"}]}


def test_a_kind_without_schema_is_copied(schema: Schema) -> None:
    obj = {"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"a": None}}
    assert schema.canonical(obj) == obj


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00Z"),
        ("yesterday", "yesterday"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00"),
    ],
)
def test_times_are_whole_seconds_in_utc(text: str, expected: str) -> None:
    assert canonical_time(text) == expected


def test_micro_times_keep_their_fraction(schema: Schema) -> None:
    event = schema.canonical({"apiVersion": "v1", "kind": "Event", "eventTime": "2026-01-01T00:00:00.123456Z"})
    assert event["eventTime"] == "2026-01-01T00:00:00.123456Z"


def test_zeros_vanish_where_a_field_cannot_tell_them_from_absent(schema: Schema) -> None:
    container = {"name": "main", "env": [{"name": "A", "value": ""}], "stdin": False, "image": "i"}
    spec = {
        "minReadySeconds": 0,
        "replicas": 0,
        "template": {"spec": {"containers": [container], "hostNetwork": False}},
    }
    stored = schema.canonical({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})["spec"]
    kept = {"name": "main", "env": [{"name": "A"}], "image": "i"}
    assert stored == {"replicas": 0, "template": {"spec": {"containers": [kept]}}}


def test_zeros_vanish_below_types_that_are_declared_atomic_at_their_use(schema: Schema) -> None:
    reference = {"configMapKeyRef": {"name": "", "key": ""}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"containers": [{"env": [{"name": "A", "valueFrom": reference}]}]},
    }
    env = schema.canonical(pod)["spec"]["containers"][0]["env"]
    assert env == [{"name": "A", "valueFrom": {"configMapKeyRef": {"key": ""}}}]
