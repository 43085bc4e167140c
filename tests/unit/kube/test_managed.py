"""Who wrote a field."""

import pytest

from towpath.kube.apply import apply, track_update
from towpath.kube.managed import Owner, find_owners, parse_field_path
from towpath.kube.objects import Object, clone
from towpath.kube.schema import Schema

ONE, TWO = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"


@pytest.fixture
def deployment(schema: Schema) -> Object:
    config = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "sensor"}, "finalizers": ["x/y"]},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "spec": {
                    "containers": [
                        {"name": "sensor", "image": "x:1", "args": ["a"], "ports": [{"containerPort": 80}]},
                        {"name": "other", "image": "y:1"},
                    ]
                }
            },
        },
    }
    live = apply(schema, live=None, config=config, manager="towpath", time=ONE)
    live["metadata"]["uid"] = "u"
    edited = clone(live)
    edited["spec"]["replicas"] = 5
    return track_update(schema, live=live, new=edited, manager="kubectl-edit", time=TWO)


@pytest.mark.parametrize(
    ("path", "manager"),
    [
        ("spec.replicas", "kubectl-edit"),
        ("spec.template.spec.containers[name=sensor].image", "towpath"),
        ("spec.template.spec.containers[name=sensor]", "towpath"),
        ("spec.template.spec.containers[name=sensor].args[0]", "towpath"),
        ("spec.template.spec.containers[name=sensor].ports[containerPort=80]", "towpath"),
        ("spec.selector.matchLabels.a", "towpath"),
        ("metadata.labels[app.kubernetes.io/name]", "towpath"),
        ("metadata.finalizers[=x/y]", "towpath"),
    ],
)
def test_the_owner_of_a_field_or_of_what_holds_it_is_found(deployment: Object, path: str, manager: str) -> None:
    assert [owner.manager for owner in find_owners(deployment, path)] == [manager]


def test_an_owner_comes_with_operation_time_and_subresource(deployment: Object) -> None:
    assert find_owners(deployment, "spec.replicas") == [Owner("kubectl-edit", "Update", TWO, "")]


def test_several_owners_come_latest_first(schema: Schema, deployment: Object) -> None:
    config = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"replicas": 5, "paused": True},
    }
    live = apply(schema, live=deployment, config=config, manager="later", time="2026-01-01T00:00:09Z")
    assert [owner.manager for owner in find_owners(live, "spec.replicas")] == ["later", "kubectl-edit"]


@pytest.mark.parametrize(
    "path", ["status.replicas", "spec.paused", "spec.template.spec.containers[name=none].image", ""]
)
def test_a_field_nobody_wrote_has_no_owner(deployment: Object, path: str) -> None:
    assert find_owners(deployment, path) == []


def test_untracked_and_broken_objects_have_no_owners() -> None:
    assert find_owners({"metadata": {}}, "spec.replicas") == []
    assert find_owners({"metadata": {"managedFields": [{"operation": "?"}]}}, "spec.replicas") == []


def test_paths_come_apart_at_dots_outside_brackets() -> None:
    assert parse_field_path("a.b[name=x.y].c") == ("a", "b", "[name=x.y]", "c")
    assert parse_field_path("data[app.yaml]") == ("data", "app.yaml")
    assert parse_field_path("args[0]") == ("args", "[0]")
