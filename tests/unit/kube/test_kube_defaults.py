"""What the API server fills in."""

import base64
from typing import Any

import pytest

from towpath.kube.defaults import set_defaults
from towpath.kube.objects import Object, clone
from towpath.kube.pod_defaults import image_pull_policy


def defaulted(api_version: str, kind: str, **fields: Any) -> Object:
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, **fields}
    set_defaults(obj)
    return obj


def pod(**spec: Any) -> Any:
    return defaulted("v1", "Pod", spec=spec)["spec"]


def container(**fields: Any) -> Any:
    return pod(containers=[{"name": "c", "image": "x:1", **fields}])["containers"][0]


def test_a_pod_gets_its_policies() -> None:
    spec = pod(containers=[])
    assert spec == {
        "containers": [],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("sensor", "Always"),
        ("sensor:latest", "Always"),
        ("127.0.0.1:7070/p/sensor", "Always"),
        ("127.0.0.1:7070/p/sensor:canary", "IfNotPresent"),
        ("sensor@sha256:ab", "IfNotPresent"),
        ("sensor:canary@sha256:ab", "IfNotPresent"),
        ("sensor:latest@sha256:ab", "Always"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert image_pull_policy(image) == policy
    assert pod(containers=[{"name": "c", "image": image}])["containers"][0]["imagePullPolicy"] == policy


def test_a_container_gets_message_path_resources_and_protocols() -> None:
    found = container(ports=[{"containerPort": 80}])
    assert found["terminationMessagePath"] == "/dev/termination-log"
    assert found["terminationMessagePolicy"] == "File"
    assert found["resources"] == {}
    assert found["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


def test_a_probe_gets_its_timings_and_a_path() -> None:
    probe = container(readinessProbe={"httpGet": {"port": "http"}, "timeoutSeconds": 0})["readinessProbe"]
    assert probe == {
        "httpGet": {"port": "http", "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container(livenessProbe={"grpc": {"port": 1}})["livenessProbe"]["grpc"] == {"port": 1, "service": ""}
    hook = container(lifecycle={"preStop": {"httpGet": {"port": 1}}})["lifecycle"]["preStop"]
    assert hook["httpGet"]["path"] == "/"


def test_what_is_set_is_kept() -> None:
    probe = {
        "exec": {"command": ["x"]},
        "timeoutSeconds": 5,
        "periodSeconds": 2,
        "successThreshold": 2,
        "failureThreshold": 9,
    }
    assert container(readinessProbe=clone(probe))["readinessProbe"] == probe
    assert container(imagePullPolicy="Never")["imagePullPolicy"] == "Never"


def test_requests_follow_limits_in_pods_but_not_in_templates() -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    assert container(resources=clone(resources))["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    template = {"spec": {"containers": [{"name": "c", "image": "x", "resources": clone(resources)}]}}
    kept = defaulted("apps/v1", "Deployment", spec={"template": template})["spec"]["template"]["spec"]["containers"][0]
    assert kept["resources"] == resources


def test_host_network_pods_take_the_port_on_the_host() -> None:
    spec = pod(
        hostNetwork=True,
        containers=[{"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]}],
    )
    assert [port["hostPort"] for port in spec["containers"][0]["ports"]] == [80, 81]


def test_volumes_get_a_source_and_modes() -> None:
    projected = {
        "sources": [
            {"serviceAccountToken": {"path": "t"}},
            {"downwardAPI": {"items": [{"fieldRef": {"fieldPath": "x"}}]}},
        ]
    }
    volumes = [
        {"name": "a"},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "c", "configMap": {"name": "c", "defaultMode": 256}},
        {"name": "d", "projected": projected},
        {"name": "e", "hostPath": {"path": "/x"}},
    ]
    found = {volume["name"]: volume for volume in pod(volumes=volumes)["volumes"]}
    assert found["a"]["emptyDir"] == {}
    assert found["b"]["secret"]["defaultMode"] == 0o644
    assert found["c"]["configMap"]["defaultMode"] == 256
    assert found["d"]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600
    assert found["d"]["projected"]["sources"][1]["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] == "v1"
    assert found["e"]["hostPath"] == {"path": "/x", "type": ""}


def test_the_old_name_of_the_service_account_mirrors_the_new_one() -> None:
    assert pod(serviceAccountName="a")["serviceAccount"] == "a"
    assert pod(serviceAccount="b")["serviceAccountName"] == "b"


def test_the_downward_api_has_a_version() -> None:
    env = container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])["env"]
    assert env[0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"


def test_a_deployment_rolls_by_a_quarter() -> None:
    spec = defaulted("apps/v1", "Deployment")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in spec["template"]["spec"]
    assert defaulted("apps/v1", "Deployment", spec={"strategy": {"type": "Recreate"}})["spec"]["strategy"] == {
        "type": "Recreate"
    }


def test_a_stateful_set_is_ordered() -> None:
    spec = defaulted("apps/v1", "StatefulSet")["spec"]
    assert spec["podManagementPolicy"] == "OrderedReady"
    assert spec["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"partition": 0, "maxUnavailable": 1},
    }
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    on_delete = defaulted("apps/v1", "StatefulSet", spec={"updateStrategy": {"type": "OnDelete"}})
    assert on_delete["spec"]["updateStrategy"] == {"type": "OnDelete"}
    named = defaulted("apps/v1", "StatefulSet", spec={"updateStrategy": {"type": "RollingUpdate"}})
    assert named["spec"]["updateStrategy"] == {"type": "RollingUpdate"}


def test_a_job_runs_once_with_six_retries() -> None:
    job = defaulted("batch/v1", "Job", spec={"template": {"metadata": {"labels": {"a": "b"}}}})
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert (spec["completionMode"], spec["suspend"], spec["manualSelector"]) == ("NonIndexed", False, False)
    assert spec["podReplacementPolicy"] == "TerminatingOrFailed"
    assert job["metadata"]["labels"] == {"a": "b"}


def test_a_job_with_parallelism_alone_is_a_work_queue() -> None:
    assert "completions" not in defaulted("batch/v1", "Job", spec={"parallelism": 3})["spec"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"ports": [{"port": 80}]},
            {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"},
        ),
        ({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer"}, {"allocateLoadBalancerNodePorts": True}),
        ({"sessionAffinity": "ClientIP"}, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}),
        ({}, {"internalTrafficPolicy": "Cluster"}),
    ],
)
def test_a_service_gets_type_and_policies(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    found = defaulted("v1", "Service", spec=spec)["spec"]
    assert expected.items() <= found.items()


def test_an_external_name_gets_no_addresses() -> None:
    spec = defaulted("v1", "Service", spec={"type": "ExternalName", "externalName": "x.y"})["spec"]
    assert "ipFamilies" not in spec
    assert "internalTrafficPolicy" not in spec


def test_a_service_port_goes_to_the_same_port() -> None:
    ports = [{"port": 80}, {"port": 81, "targetPort": "http"}, {"port": 82, "targetPort": 0, "protocol": "UDP"}]
    found = defaulted("v1", "Service", spec={"ports": ports})["spec"]["ports"]
    assert [(port["targetPort"], port["protocol"]) for port in found] == [(80, "TCP"), ("http", "TCP"), (82, "UDP")]


def test_a_secret_takes_text_as_data() -> None:
    secret = defaulted("v1", "Secret", data={"a": "old", "b": "kept"}, stringData={"a": "new"})
    assert secret["data"] == {"a": base64.b64encode(b"new").decode(), "b": "kept"}
    assert secret["type"] == "Opaque"
    assert "stringData" not in secret


def test_a_namespace_is_labelled_with_its_name() -> None:
    assert defaulted("v1", "Namespace")["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}


def test_an_event_counts_from_one_unless_it_counts_otherwise() -> None:
    assert defaulted("v1", "Event")["count"] == 1
    assert "count" not in defaulted("v1", "Event", series={"count": 3})


def test_grants_and_slices_get_group_and_protocol() -> None:
    binding = defaulted(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        roleRef={"kind": "Role", "name": "r"},
        subjects=[{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "d"}],
    )
    assert binding["roleRef"]["apiGroup"] == "rbac.authorization.k8s.io"
    assert [subject.get("apiGroup") for subject in binding["subjects"]] == ["rbac.authorization.k8s.io", None]
    slice_ = defaulted("discovery.k8s.io/v1", "EndpointSlice", ports=[{"port": 80}])
    assert slice_["ports"] == [{"port": 80, "name": "", "protocol": "TCP"}]


KINDS = [("v1", "Pod"), ("v1", "Service"), ("v1", "Secret"), ("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"),
         ("apps/v1", "StatefulSet"), ("batch/v1", "Job"), ("v1", "Namespace"), ("v1", "ConfigMap")]  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind"), KINDS)
def test_defaults_are_a_fixed_point(api_version: str, kind: str) -> None:
    once = defaulted(api_version, kind)
    twice = clone(once)
    set_defaults(twice)
    assert twice == once


def test_a_kind_that_is_not_served_is_left_alone() -> None:
    assert defaulted("example.com/v1", "Pod") == {
        "apiVersion": "example.com/v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
    }
