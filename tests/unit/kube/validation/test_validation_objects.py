"""The API server's rules. Most cases are lines of `tests/data/kube/validation_cases.yaml`."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from towpath.kube.defaults import set_defaults
from towpath.kube.objects import Object, clone
from towpath.kube.validation import validate

CONTAINER: dict[str, Any] = {"name": "c", "image": "x:1"}
SELECTOR = {"matchLabels": {"app": "a"}}
TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [CONTAINER]}}


def good(kind: str) -> Object:
    versions = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1"}
    versions |= {"Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1"}
    versions["EndpointSlice"] = "discovery.k8s.io/v1"
    fields: dict[str, Any] = {
        "Pod": {"spec": {"containers": [CONTAINER]}},
        "Deployment": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        "ReplicaSet": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        "StatefulSet": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        "Job": {"spec": {"template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}}},
        "Service": {"spec": {"ports": [{"port": 80}], "selector": {"app": "a"}, "clusterIP": "10.43.0.20"}},
        "ConfigMap": {"data": {"a": "b"}},
        "Secret": {"data": {"a": "Yg=="}},
        "Role": {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]},
        "RoleBinding": {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]},
        "Event": {"involvedObject": {"namespace": "dev"}},
        "EndpointSlice": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]},
        "ServiceAccount": {},
    }
    obj = {
        "apiVersion": versions.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": "a", "namespace": "dev"},
        **fields[kind],
    }
    fresh: Object = clone(obj)
    set_defaults(fresh)
    return fresh


def put(obj: Object, path: str, value: Any) -> Object:
    """A copy with one field set (or, with None, removed). Numbers in the path are list indexes."""
    out: Any = clone(obj)
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split("/")]
    place = out
    for part in parents:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return out  # type: ignore[no-any-return]


KINDS = (
    *("Pod", "Deployment", "ReplicaSet", "StatefulSet", "Job", "Service", "ConfigMap", "Secret", "Role", "RoleBinding"),
    *("Event", "EndpointSlice", "ServiceAccount"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_object_is_valid_when_created_and_when_unchanged(kind: str) -> None:
    obj = good(kind)
    assert validate(obj, old=None) == []
    assert validate(obj, old=obj) == []


CASES = yaml.safe_load((Path(__file__).parents[3] / "data" / "kube" / "validation_cases.yaml").read_text())
LARGE: list[tuple[str, str, Any, str, str]] = [
    ("ConfigMap", "metadata/name", "a" * 254, "metadata.name", "must be no more than 253 bytes"),
    ("ConfigMap", "metadata/annotations", {"a": "x" * 300_000}, "metadata.annotations", "may not be more than 262144"),
    ("ConfigMap", "data", {"a": "x" * 1_100_000}, "data", "Too long: may not be more than 1048576 bytes"),
    ("Secret", "data", {"a": "eHh4" * 400_000}, "data", "Too long"),
    ("EndpointSlice", "endpoints", [{"addresses": ["10.0.0.1"]}] * 1001, "endpoints", "Too many"),
]


@pytest.mark.parametrize(("kind", "path", "value", "field", "message"), [*CASES["create"], *LARGE])
def test_a_broken_rule_is_one_cause_with_field_and_words(
    kind: str, path: str, value: Any, field: str, message: str
) -> None:
    causes = validate(put(good(kind), path, value), old=None)
    assert [cause["field"] for cause in causes] == [field]
    assert message in causes[0]["message"]
    assert causes[0]["reason"].startswith("FieldValue")


@pytest.mark.parametrize(("kind", "path", "value", "field", "message"), CASES["update"])
def test_what_may_change_may_and_what_may_not_is_refused(
    kind: str, path: str, value: Any, field: str, message: str
) -> None:
    causes = validate(put(good(kind), path, value), old=good(kind))
    assert [cause["field"] for cause in causes] == ([field] if field else [])
    assert all(message in cause["message"] for cause in causes)


def test_a_bound_pod_stays_where_it_is() -> None:
    bound = put(good("Pod"), "spec/nodeName", "one")
    assert validate(put(bound, "spec/nodeName", "two"), old=bound)[0]["field"] == "spec"


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_what_is_marked_immutable_stays_as_it_is(kind: str) -> None:
    frozen = put(good(kind), "immutable", True)
    assert validate(put(frozen, "metadata/labels", {"a": "b"}), old=frozen) == []
    changed = validate(put(frozen, "data", {"a": "eA=="}), old=frozen)
    thawed = validate(put(frozen, "immutable", None), old=frozen)
    assert [cause["message"] for cause in changed + thawed] == [
        "Forbidden: field is immutable when `immutable` is set"
    ] * 2


@pytest.mark.parametrize(("text", "valid"), [("e30=", True), ("W10=", False), ("e30", False), ("eA==", False)])
def test_a_pull_secret_must_hold_a_json_document_and_never_shows_it(text: str, valid: bool) -> None:
    secret = put(good("Secret"), "type", "kubernetes.io/dockerconfigjson")
    causes = validate(put(secret, "data", {".dockerconfigjson": text}), old=None)
    assert (causes == []) is valid
    assert all(text not in cause["message"] for cause in causes)


def test_a_basic_auth_secret_needs_one_of_its_keys() -> None:
    secret = put(good("Secret"), "type", "kubernetes.io/basic-auth")
    assert [cause["field"] for cause in validate(secret, old=None)] == ["data[username]", "data[password]"]


def test_only_one_owner_may_control() -> None:
    owners = [{"apiVersion": "v1", "kind": "X", "name": name, "uid": name, "controller": True} for name in "ab"]
    causes = validate(put(good("ConfigMap"), "metadata/ownerReferences", owners), old=None)
    assert 'Found "true" in references for a and b' in causes[0]["message"]


def test_mounts_must_differ_and_name_a_volume() -> None:
    pod = put(good("Pod"), "spec/volumes", [{"name": "v", "emptyDir": {}}])
    mounts = [{"name": "v", "mountPath": "/x"}, {"name": "v", "mountPath": "/x", "subPath": "../y"}, {}]
    causes = validate(put(pod, "spec/containers/0/volumeMounts", mounts), old=None)
    assert [cause["field"].removeprefix("spec.containers[0].volumeMounts") for cause in causes] == [
        "[1].mountPath",
        "[1].subPath",
        "[2].name",
        "[2].mountPath",
    ]


def test_host_ports_must_be_the_containers_on_the_host_network() -> None:
    pod = put(good("Pod"), "spec/hostNetwork", True)
    causes = validate(put(pod, "spec/containers/0/ports", [{"containerPort": 1, "hostPort": 2}]), old=None)
    assert "must match `containerPort` when `hostNetwork` is true" in causes[0]["message"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"clusterIP": "None", "type": "NodePort", "ports": [{"port": 1}]}, "spec.clusterIPs[0]"),
        ({"type": "ExternalName", "externalName": "A b"}, "spec.externalName"),
    ],
)
def test_odd_services_are_refused(spec: dict[str, Any], field: str) -> None:
    assert [cause["field"] for cause in validate(put(good("Service"), "spec", spec), old=None)] == [field]


def test_headless_and_external_services_need_no_ports() -> None:
    for spec in ({"clusterIP": "None"}, {"type": "ExternalName", "externalName": "example.com."}):
        assert validate(put(good("Service"), "spec", spec), old=None) == []


def test_all_breaches_are_reported_at_once() -> None:
    pod = put(put(good("Pod"), "spec/containers/0/image", None), "metadata/labels", {"a": "-"})
    assert len(validate(pod, old=None)) == 2


def test_a_long_value_is_cut_in_the_message() -> None:
    causes = validate(put(good("ConfigMap"), "metadata/name", "A" * 5000), old=None)
    assert all(len(cause["message"]) < 600 for cause in causes)


def test_a_kind_without_rules_of_its_own_is_checked_for_metadata() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "Bad Name"}}
    assert [cause["field"] for cause in validate(node, old=None)] == ["metadata.name"]
