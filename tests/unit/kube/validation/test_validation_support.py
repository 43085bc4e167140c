"""What the embedded cluster does not do: refused or warned about, never passed over in silence."""

from typing import Any

import pytest

from towpath.kube.objects import Object
from towpath.kube.validation import unsupported, validate
from towpath.kube.validation.support import POD_LIMITS, SERVICE_LIMITS


def pod(container: dict[str, Any] | None = None, **spec: Any) -> Object:
    containers = [{"name": "c", "image": "x", **(container or {})}]
    metadata = {"name": "a", "namespace": "dev"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}


def service(**spec: Any) -> Object:
    metadata = {"name": "a", "namespace": "dev"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}], **spec}}


REFUSED = [
    (pod(hostPID=True), "spec.hostPID"),
    (pod(hostIPC=True), "spec.hostIPC"),
    (pod(shareProcessNamespace=True), "spec.shareProcessNamespace"),
    (pod(runtimeClassName="gvisor"), "spec.runtimeClassName"),
    (pod(os={"name": "windows"}), "spec.os.name"),
    (pod(schedulingGates=[{"name": "g"}]), "spec.schedulingGates"),
    (pod(readinessGates=[{"conditionType": "c"}]), "spec.readinessGates"),
    (
        pod(initContainers=[{"name": "i", "image": "x", "restartPolicy": "Always"}]),
        "spec.initContainers[0].restartPolicy",
    ),
    (
        pod({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "k"}}}]}),
        "spec.containers[0].env[0].valueFrom.fileKeyRef",
    ),
    (pod({"securityContext": {"privileged": True}}), "spec.containers[0].securityContext.privileged"),
    (pod({"volumeDevices": [{"name": "d", "devicePath": "/d"}]}), "spec.containers[0].volumeDevices"),
    (
        pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
        "spec.volumes[0].persistentVolumeClaim",
    ),
    (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "spec.volumes[0].hostPath"),
    (
        pod(volumes=[{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}]),
        "spec.volumes[0].projected.sources[0].clusterTrustBundle",
    ),
    (pod({"resources": {"limits": {"nvidia.com/gpu": "1"}}}), "spec.containers[0].resources.limits.nvidia.com/gpu"),
]


@pytest.mark.parametrize(("obj", "field"), REFUSED)
def test_what_would_change_the_meaning_is_refused(obj: Object, field: str) -> None:
    assert [cause["field"] for cause in validate(obj, old=None)] == [field]
    assert unsupported(obj) == []


def test_claims_of_a_stateful_set_are_refused_because_data_would_be_lost() -> None:
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
    }
    obj = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a", "namespace": "dev"}, "spec": spec}
    causes = validate(obj, old=None)
    assert [cause["field"] for cause in causes] == ["spec.volumeClaimTemplates"]
    assert "would be lost" in causes[0]["message"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [({"podFailurePolicy": {"rules": []}}, "podFailurePolicy"), ({"completionMode": "Indexed"}, "completionMode")],
)
def test_what_jobs_cannot_do_is_refused(fields: dict[str, Any], name: str) -> None:
    spec = {"template": {"spec": {**pod()["spec"], "restartPolicy": "Never"}}, **fields}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "namespace": "dev"}, "spec": spec}
    assert [cause["field"] for cause in validate(job, old=None)] == [f"spec.{name}"]


WARNED = [
    (pod(nodeSelector={"a": "b"}), "spec.nodeSelector: has no effect: there is one node"),
    (pod(affinity={"nodeAffinity": {}}), "spec.affinity: has no effect"),
    (pod(schedulerName="mine"), "spec.schedulerName: has no effect"),
    (pod(activeDeadlineSeconds=5), "spec.activeDeadlineSeconds: has no effect"),
    (
        pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]),
        "spec.volumes[0].emptyDir.sizeLimit: is not enforced",
    ),
    (pod({"ports": [{"containerPort": 1, "hostPort": 1}]}), "spec.containers[0].ports[0].hostPort: opens no port"),
    (pod(securityContext={"fsGroup": 1}), "spec.securityContext.fsGroup: has no effect"),
    (pod({"lifecycle": {"preStop": {}}}), "spec.containers[0].lifecycle: has no effect"),
    (pod({"tty": True}), "spec.containers[0].tty: has no effect"),
    (
        pod({"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}),
        "spec.containers[0].securityContext.capabilities.add: has no effect",
    ),
    (
        pod(initContainers=[{"name": "i", "image": "x", "stdin": True}]),
        "spec.initContainers[0].stdin: has no effect",
    ),
    (service(type="NodePort"), "spec.type: gets no address from outside"),
    (service(sessionAffinity="ClientIP"), "spec.sessionAffinity: has no effect"),
    (
        service(ports=[{"port": 1}, {"port": 53, "protocol": "UDP", "name": "b"}]),
        "spec.ports[1].protocol: has no effect",
    ),
]


@pytest.mark.parametrize(("obj", "warning"), WARNED)
def test_what_is_harmless_is_warned_about(obj: Object, warning: str) -> None:
    assert [text[: len(warning)] for text in unsupported(obj)] == [warning]


def test_warnings_reach_into_templates() -> None:
    template = {"spec": pod(nodeSelector={"a": "b"})["spec"]}
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": template}}
    assert unsupported(obj) == ["spec.template.spec.nodeSelector: has no effect: there is one node"]


SUPPORTED = [
    pod(hostNetwork=True, hostPID=False, schedulerName="default-scheduler", dnsPolicy="ClusterFirst"),
    pod({"ports": [{"containerPort": 1, "hostPort": 1}]}, hostNetwork=True),
    pod(dnsPolicy="None", dnsConfig={"nameservers": ["1.1.1.1"]}, hostAliases=[{"ip": "1.1.1.1", "hostnames": ["x"]}]),
    pod({"securityContext": {"runAsUser": 1, "readOnlyRootFilesystem": True, "privileged": False}, "stdin": False}),
    pod({"resources": {"limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}}}),
    pod(
        volumes=[
            {"name": "a", "emptyDir": {}},
            {"name": "b", "configMap": {"name": "c"}},
            {"name": "c", "secret": {"secretName": "s"}},
            {"name": "d", "downwardAPI": {"items": []}},
            {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ],
        os={"name": "linux"},
    ),
    service(type="ClusterIP", sessionAffinity="None"),
    service(type="ExternalName", externalName="example.com"),
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "dev"}, "data": {}},
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "dev"}},
]


@pytest.mark.parametrize("obj", SUPPORTED)
def test_what_the_cluster_does_brings_no_warning(obj: Object) -> None:
    assert unsupported(obj) == []
    if obj["kind"] != "Deployment":
        assert validate(obj, old=None) == []


def test_every_limit_says_why() -> None:
    assert all(len(limit.text) > 10 for limit in (*POD_LIMITS, *SERVICE_LIMITS))
    assert len({limit.path for limit in POD_LIMITS}) == len(POD_LIMITS)
