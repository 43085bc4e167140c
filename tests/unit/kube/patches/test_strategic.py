"""Strategic merge: its directives one by one, then recordings of upstream (`tests/data/kube/README.md`)."""

import json
from pathlib import Path
from typing import Any

import pytest

from towpath.kube.errors import BadRequestError, InvalidError
from towpath.kube.patches import apply_patch
from towpath.kube.requests import Patch, PatchType
from towpath.kube.schema import Schema

LINES = (Path(__file__).parents[3] / "data" / "kube" / "strategic_recordings.jsonl").read_text().splitlines()


def patched(schema: Schema, spec: dict[str, Any], patch: dict[str, Any]) -> Any:
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    return apply_patch(schema, pod, Patch(PatchType.STRATEGIC, {"spec": patch}))["spec"]


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"hostname": "a"}, {"hostname": "b"}, {"hostname": "b"}),
    ({"hostname": "a"}, {"hostname": None}, {}),
    (
        {"securityContext": {"runAsUser": 1}},
        {"securityContext": {"fsGroup": 2}},
        {"securityContext": {"runAsUser": 1, "fsGroup": 2}},
    ),
    ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
    (
        {"containers": named("a", "b")},
        {"containers": [{"name": "b", "image": "x"}]},
        {"containers": [*named("a"), {"name": "b", "image": "x"}]},
    ),
    ({"containers": named("a")}, {"containers": named("b")}, {"containers": named("b", "a")}),
    ({"containers": named("a", "b")}, {"containers": [{"name": "a", "$patch": "delete"}]}, {"containers": named("b")}),
    ({"containers": named("a", "b")}, {"containers": [*named("c"), {"$patch": "replace"}]}, {"containers": named("c")}),
    (
        {"containers": named("a", "b")},
        {"$setElementOrder/containers": named("b", "a")},
        {"containers": named("b", "a")},
    ),
    (
        {"containers": named("a", "server", "b")},
        {"$setElementOrder/containers": named("b", "new", "a"), "containers": named("new")},
        {"containers": named("server", "b", "new", "a")},
    ),
    (
        {"securityContext": {"runAsUser": 1}},
        {"securityContext": {"$patch": "replace", "fsGroup": 2}},
        {"securityContext": {"fsGroup": 2}},
    ),
    ({"securityContext": {"runAsUser": 1}}, {"securityContext": {"$patch": "delete"}}, {"securityContext": {}}),
    ({}, {"securityContext": {"$patch": "delete"}}, {}),
    (
        {"volumes": [{"name": "v", "emptyDir": {}}]},
        {"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]},
        {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
    ),
    ({}, {"securityContext": {"runAsUser": 1, "fsGroup": None}}, {"securityContext": {"runAsUser": 1}}),
    (
        {},
        {"containers": [{"name": "a", "env": [{"name": "A", "value": None}]}]},
        {"containers": [{"name": "a", "env": named("A")}]},
    ),
    ({"hostname": "a"}, {"unknown": {"a": 1}}, {"hostname": "a", "unknown": {"a": 1}}),
]


@pytest.mark.parametrize(("spec", "patch", "expected"), CASES)
def test_each_directive_does_what_it_says(
    schema: Schema, spec: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert patched(schema, spec, patch) == expected


def test_scalars_are_added_to_a_set_and_deleted_from_it(schema: Schema) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"finalizers": ["a/a", "b/b"]}}
    added = apply_patch(schema, obj, Patch(PatchType.STRATEGIC, {"metadata": {"finalizers": ["c/c", "a/a"]}}))
    assert sorted(added["metadata"]["finalizers"]) == ["a/a", "b/b", "c/c"]
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"]}}
    assert apply_patch(schema, obj, Patch(PatchType.STRATEGIC, patch))["metadata"]["finalizers"] == ["b/b"]
    assert apply_patch(schema, {**obj, "metadata": {}}, Patch(PatchType.STRATEGIC, patch))["metadata"] == {}


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ({"securityContext": {"$patch": "merge"}}, InvalidError),
        ({"containers": [{"name": "a", "$patch": "merge"}]}, InvalidError),
        ({"containers": [{"image": "x"}]}, InvalidError),
        ({"containers": [{"$patch": "delete"}]}, InvalidError),
        ({"containers": ["a", {"name": "b"}]}, BadRequestError),
        ({"securityContext": {"$retainKeys": "x"}}, BadRequestError),
        ({"securityContext": {"$retainKeys": ["fsGroup"], "runAsUser": 1}}, BadRequestError),
        ({"$setElementOrder/containers": "x"}, BadRequestError),
        ({"$setElementOrder/containers": named("b", "c"), "containers": named("c", "b")}, BadRequestError),
        ({"$deleteFromPrimitiveList/args": "x"}, BadRequestError),
    ],
)
def test_a_patch_that_is_none_is_refused(schema: Schema, patch: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        patched(schema, {"containers": named("a"), "securityContext": {"runAsUser": 1}}, patch)


@pytest.mark.parametrize("line", LINES, ids=[str(index) for index in range(len(LINES))])
def test_patches_made_by_upstream_give_upstreams_result(schema: Schema, line: str) -> None:
    record = json.loads(line)
    live = json.dumps(record["live"])
    result = apply_patch(schema, record["live"], Patch(PatchType.STRATEGIC, record["patch"]))
    assert schema.canonical(result) == schema.canonical(record["object"])
    assert json.dumps(record["live"]) == live


def test_the_recordings_are_there() -> None:
    assert len(LINES) == 60
