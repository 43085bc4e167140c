"""A difference names the field, and shows no secret."""

from typing import Any

import pytest

from towpath.kube.diff import FieldChange, diff


def pod(**container: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [{"name": "sensor", "image": "a:1", **container}]}}


IMAGE = "spec.containers[name=sensor].image"


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        pytest.param(pod(), pod(), [], id="equal"),
        pytest.param(pod(), pod(image="a:2"), [FieldChange(IMAGE, "a:1", "a:2")], id="in-a-named-item"),
        pytest.param({"spec": {"a": 1}}, {"spec": {}}, [FieldChange("spec.a", 1, None)], id="removed"),
        pytest.param({"spec": {}}, {"spec": {"a": {"b": 1}}}, [FieldChange("spec.a.b", None, 1)], id="added-below"),
        pytest.param({"a": [1, 2]}, {"a": [2, 1]}, [FieldChange("a", [1, 2], [2, 1])], id="a-plain-list-is-one-value"),
        pytest.param({"a": []}, {}, [], id="empty-is-absent"),
        pytest.param({"a": {}}, {"a": None}, [], id="empty-map-is-null"),
        pytest.param(
            {"metadata": {"labels": {"a.b/c": "1"}}},
            {"metadata": {"labels": {"a.b/c": "2"}}},
            [FieldChange("metadata.labels[a.b/c]", "1", "2")],
            id="a-dotted-label",
        ),
        pytest.param(
            {"ports": [{"containerPort": 80}, {"containerPort": 81}]},
            {"ports": [{"containerPort": 81}]},
            [FieldChange("ports[containerPort=80].containerPort", 80, None)],
            id="a-removed-item",
        ),
        pytest.param(
            {"a": [{"name": "x"}, {"name": "x"}]},
            {"a": [{"name": "x"}]},
            [FieldChange("a", [{"name": "x"}, {"name": "x"}], [{"name": "x"}])],
            id="twice-the-same-name",
        ),
        pytest.param(
            {"a": [{"name": "x"}]},
            {"a": [{"name": "x"}, {"name": "x"}]},
            [FieldChange("a", [{"name": "x"}], [{"name": "x"}, {"name": "x"}])],
            id="the-same-name-twice-afterwards",
        ),
    ],
)
def test_each_changed_field_is_named(before: dict[str, Any], after: dict[str, Any], changes: list[FieldChange]) -> None:
    assert diff(before, after) == changes


def test_what_the_server_keeps_for_itself_is_left_out() -> None:
    live = {"metadata": {"name": "a", "resourceVersion": "7", "managedFields": [1]}, "status": {"phase": "Active"}}

    assert diff(live, {"metadata": {"name": "a"}}) == []


def test_the_copy_that_kubectl_keeps_is_left_out() -> None:
    live = {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}}

    assert diff(live, {"metadata": {}}) == []


def test_the_data_of_a_secret_is_masked_and_still_compared() -> None:
    before = {"kind": "Secret", "data": {"token": "aHVudGVyMg==", "same": "YQ=="}}
    after = {"kind": "Secret", "data": {"token": "c3dvcmRmaXNo", "same": "YQ=="}}

    (change,) = diff(before, after)

    assert change == FieldChange("data.token", "<masked>", "<masked, another value>")


def test_the_mask_of_a_secret_says_nothing_of_its_value() -> None:
    changes = [diff({"kind": "Secret", "data": {"token": value}}, {"kind": "Secret"}) for value in ("YQ==", "Yg==")]

    assert changes[0] == changes[1] == [FieldChange("data.token", "<masked>", None)]


def test_a_new_object_is_all_additions() -> None:
    assert diff({}, {"kind": "ConfigMap", "data": {"a": "1"}}) == [
        FieldChange("kind", None, "ConfigMap"),
        FieldChange("data.a", None, "1"),
    ]
