"""Verdicts by kind, with the sentence a person reads."""

from typing import Any

import pytest

from towpath.kube.health import Health, HealthReport, assess, worst
from towpath.kube.objects import Object

H, S, P, M, D = Health.HEALTHY, Health.SUSPENDED, Health.PROGRESSING, Health.MISSING, Health.DEGRADED


def condition(name: str, status: str = "True", reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": name, "status": status, "reason": reason, "message": message}


def obj(api_version: str, kind: str, *, spec: Any = None, generation: int = 1, **status: Any) -> Object:
    metadata = {"name": "sensor", "namespace": "dev", "generation": generation}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status}


def deployment(wanted: int = 2, *, spec: Any = None, **status: Any) -> Object:
    counts = {"observedGeneration": 1, "replicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted}
    return obj("apps/v1", "Deployment", spec={"replicas": wanted, **(spec or {})}, **{**counts, **status})


def stateful_set(wanted: int = 3, *, spec: Any = None, **status: Any) -> Object:
    counts = {
        "observedGeneration": 1,
        "readyReplicas": wanted,
        "updatedReplicas": wanted,
        "currentRevision": "r1",
        "updateRevision": "r1",
    }
    return obj("apps/v1", "StatefulSet", spec={"replicas": wanted, **(spec or {})}, **{**counts, **status})


def job(*conditions: Any, spec: Any = None, **status: Any) -> Object:
    return obj("batch/v1", "Job", spec=spec, conditions=list(conditions), **status)


CASES: list[tuple[Object | None, Health, str]] = [
    (None, M, "not in the cluster"),
    ({}, M, "not in the cluster"),
    ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}, H, ""),
    (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "x", "finalizers": ["a/b"]}},
        P,
        "Pending deletion (finalizers: a/b)",
    ),
    (deployment(), H, ""),
    (deployment(0), H, ""),
    (deployment(spec={"paused": True}), S, "Deployment is paused"),
    (deployment(observedGeneration=0), P, "Waiting for generation 1 to be observed"),
    (obj("apps/v1", "Deployment"), P, "0 is so far"),
    (deployment(updatedReplicas=1), P, "1 out of 2 new replicas have been updated"),
    (deployment(replicas=3), P, "1 old replicas are pending termination"),
    (deployment(availableReplicas=1), P, "1 of 2 updated replicas are available"),
    (
        deployment(conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")]),
        D,
        'Deployment "sensor" exceeded its progress deadline',
    ),
    (deployment(conditions=[condition("ReplicaFailure", reason="FailedCreate", message="no")]), D, "FailedCreate: no"),
    (stateful_set(), H, ""),
    (stateful_set(observedGeneration=0), P, "Waiting for generation 1"),
    (stateful_set(readyReplicas=1), P, "2 of 3 pods are not ready"),
    (stateful_set(updateRevision="r2", updatedReplicas=1), P, "1 of 3 pods at revision r2"),
    (
        stateful_set(
            spec={"updateStrategy": {"rollingUpdate": {"partition": 1}}}, updateRevision="r2", updatedReplicas=1
        ),
        P,
        "1 out of 2 new pods of the partitioned roll out",
    ),
    (
        stateful_set(
            spec={"updateStrategy": {"rollingUpdate": {"partition": 1}}}, updateRevision="r2", updatedReplicas=2
        ),
        H,
        "",
    ),
    (stateful_set(spec={"updateStrategy": {"type": "OnDelete"}}, updateRevision="r2"), H, ""),
    (obj("apps/v1", "ReplicaSet", spec={"replicas": 1}, observedGeneration=1), P, "0 out of 1"),
    (obj("apps/v1", "ReplicaSet", spec={"replicas": 1}, observedGeneration=1, availableReplicas=1), H, ""),
    (
        obj("apps/v1", "ReplicaSet", observedGeneration=1, conditions=[condition("ReplicaFailure", message="quota")]),
        D,
        "quota",
    ),
    (obj("apps/v1", "DaemonSet", observedGeneration=1, desiredNumberScheduled=1), P, "0 out of 1 new pods"),
    (
        obj("apps/v1", "DaemonSet", observedGeneration=1, desiredNumberScheduled=1, updatedNumberScheduled=1),
        P,
        "0 of 1 updated pods are available",
    ),
    (obj("apps/v1", "DaemonSet", observedGeneration=1), H, ""),
    (obj("apps/v1", "DaemonSet", spec={"updateStrategy": {"type": "OnDelete"}}, observedGeneration=1), H, ""),
    (job(active=1), P, "Job is running: 1 active, 0 of 1 succeeded"),
    (job(active=1, failed=2), P, "2 failed"),
    (job(condition("Complete")), H, ""),
    (
        job(condition("Failed", reason="BackoffLimitExceeded", message="too often")),
        D,
        "BackoffLimitExceeded: too often",
    ),
    (job(condition("Suspended")), S, "Job is suspended"),
    (job(spec={"suspend": True}), S, "Job is suspended"),
    (obj("v1", "Service", spec={"type": "ClusterIP"}), H, ""),
    (obj("v1", "Service", spec={"type": "LoadBalancer"}), P, "no address yet"),
    (obj("v1", "Service", spec={"type": "LoadBalancer"}, loadBalancer={"ingress": [{"ip": "1.2.3.4"}]}), H, ""),
    (obj("v1", "PersistentVolumeClaim"), P, "the claim is Pending"),
    (obj("v1", "PersistentVolumeClaim", phase="Bound"), H, ""),
    (obj("v1", "PersistentVolumeClaim", phase="Lost"), D, "lost"),
    (obj("apiextensions.k8s.io/v1", "CustomResourceDefinition"), P, "not established"),
    (
        obj(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions=[condition("NamesAccepted", "False", "X")]
        ),
        D,
        "X",
    ),
    (obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions=[condition("Established")]), H, ""),
    (obj("example.com/v1", "Thing", conditions=[condition("Ready", "False", "Wait", "a bit")]), P, "Wait: a bit"),
    (obj("example.com/v1", "Thing", conditions=[condition("Ready")]), H, ""),
    (obj("example.com/v1", "Thing", conditions=[condition("Stalled", message="stuck")]), D, "stuck"),
    (obj("example.com/v1", "Thing", conditions=[condition("Reconciling", message="at it")]), P, "at it"),
    (obj("example.com/v1", "Thing", generation=3, observedGeneration=2), P, "Waiting for generation 3"),
    (obj("example.com/v1", "Thing", generation=3), H, ""),
]


@pytest.mark.parametrize(("subject", "status", "message"), CASES)
def test_a_kind_is_judged_by_its_rule(subject: Object | None, status: Health, message: str) -> None:
    report = assess(subject)
    assert report.status is status
    assert message in report.message
    assert bool(report.message) is (status is not H)


def test_the_worst_decides() -> None:
    assert worst([]) is H
    assert worst([H, S]) is S
    assert worst([P, M, S]) is M
    assert worst([D, M]) is D
    assert worst([Health.UNKNOWN, D]) is Health.UNKNOWN


def test_a_report_needs_no_message() -> None:
    assert HealthReport(H) == HealthReport(H, "")
