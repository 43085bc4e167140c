"""Faults of objects as data."""

from typing import Any

import pytest

from towpath.kube.problems import ProblemKind
from towpath.kube.schema import Schema


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}


def pod(**container: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", **container}]}}


CASES = [
    (deployment(replica=1), "spec.replica", ProblemKind.UNKNOWN, 'unknown field "spec.replica"'),
    ({**deployment(), "data": {}}, "data", ProblemKind.UNKNOWN, 'unknown field "data"'),
    (deployment(replicas="1"), "spec.replicas", ProblemKind.TYPE, "expected integer, got string '1'"),
    (deployment(replicas=True), "spec.replicas", ProblemKind.TYPE, "expected integer, got boolean true"),
    (deployment(replicas=1.5), "spec.replicas", ProblemKind.TYPE, "expected integer, got 1.5"),
    (deployment(replicas=2**31), "spec.replicas", ProblemKind.VALUE, "out of range for int32"),
    (deployment(paused="no"), "spec.paused", ProblemKind.TYPE, "expected boolean, got string 'no'"),
    (deployment(template=[]), "spec.template", ProblemKind.TYPE, "expected map, got list"),
    (deployment(strategy="Recreate"), "spec.strategy", ProblemKind.TYPE, "expected map, got string 'Recreate'"),
    (
        deployment(strategy={"rollingUpdate": {"maxSurge": {}}}),
        "spec.strategy.rollingUpdate.maxSurge",
        ProblemKind.TYPE,
        "got map",
    ),
    (
        deployment(strategy={"rollingUpdate": {"maxSurge": True}}),
        "spec.strategy.rollingUpdate.maxSurge",
        ProblemKind.TYPE,
        "got boolean",
    ),
    (pod(args="x"), "spec.containers[0].args", ProblemKind.TYPE, "expected list, got string 'x'"),
    (pod(env=[{"name": 1}]), "spec.containers[0].env[0].name", ProblemKind.TYPE, "expected string, got number 1"),
    (pod(env=["A=1"]), "spec.containers[0].env[0]", ProblemKind.TYPE, "non-map elements"),
    (pod(env=[{"name": "A"}, {"name": "A"}]), "spec.containers[0].env[1]", ProblemKind.DUPLICATE, "duplicate entries"),
    (
        pod(resources={"limits": {"cpu": "lots"}}),
        "spec.containers[0].resources.limits.cpu",
        ProblemKind.VALUE,
        "BadQuantity",
    ),
    (
        pod(resources={"limits": {"cpu": []}}),
        "spec.containers[0].resources.limits.cpu",
        ProblemKind.TYPE,
        "expected a quantity",
    ),
    ({"apiVersion": "v1", "kind": "Secret", "data": {"a": "%"}}, "data.a", ProblemKind.VALUE, "illegal base64"),
    ({"apiVersion": "v1", "kind": "Secret", "data": {"a": "YQ"}}, "data.a", ProblemKind.VALUE, "illegal base64"),
    (
        {"apiVersion": "v1", "kind": "Event", "lastTimestamp": "soon"},
        "lastTimestamp",
        ProblemKind.VALUE,
        "expected a time",
    ),
    (
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": [{}]}},
        "metadata.finalizers[0]",
        ProblemKind.TYPE,
        "scalars only",
    ),
]


@pytest.mark.parametrize(("obj", "path", "kind", "message"), CASES)
def test_a_fault_is_named_with_path_and_reason(
    schema: Schema, obj: dict[str, Any], path: str, kind: ProblemKind, message: str
) -> None:
    problems = schema.problems(obj)
    assert [(problem.path, problem.kind) for problem in problems] == [(path, kind)]
    assert message in problems[0].message


def test_all_faults_are_reported_at_once(schema: Schema) -> None:
    problems = schema.problems(
        deployment(replicas="1", foo=1, template={"spec": {"containers": [{"nam": "x", "name": "y"}]}})
    )
    assert [problem.path for problem in problems] == [
        "spec.replicas",
        "spec.foo",
        "spec.template.spec.containers[0].nam",
    ]


@pytest.mark.parametrize(
    "obj",
    [
        deployment(replicas=1, strategy={"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}),
        deployment(replicas=None, template=None),
        pod(resources={"limits": {"cpu": 1, "memory": "1Gi"}}, env=[{"name": "A"}, {"name": "B"}]),
        {"apiVersion": "v1", "kind": "Secret", "data": {"a": "", "b": "YQ=="}},
        {"apiVersion": "v1", "kind": "Event", "lastTimestamp": "2026-01-01T00:00:00Z", "eventTime": None},
        {"apiVersion": "apps/v1", "kind": "ControllerRevision", "data": {"any": [{"thing": None}]}, "revision": 1},
        {"apiVersion": "example.com/v1", "kind": "Unknown", "anything": object},
    ],
)
def test_what_is_well_formed_has_no_problems(schema: Schema, obj: dict[str, Any]) -> None:
    assert schema.problems(obj) == []
