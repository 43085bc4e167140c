"""The two operations on ownership, told as stories."""

from typing import Any

import pytest

from towpath.kube.apply import apply, decode_managed, track_update
from towpath.kube.errors import ApiConflictError, ApiError
from towpath.kube.objects import Object, clone
from towpath.kube.schema import Schema

ONE, TWO, THREE = (f"2026-01-01T00:00:0{second}Z" for second in (1, 2, 3))


def config_map(data: dict[str, Any] | None = None, **metadata: Any) -> Object:
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "dev", **metadata}}
    return {**obj, "data": data} if data is not None else obj


def deployment(replicas: int | None = None, /, *containers: dict[str, Any], **status: Any) -> Object:
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": "a"}}}
    if replicas is not None:
        spec["replicas"] = replicas
    if containers:
        spec["template"] = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": list(containers)}}
    obj: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "dev"},
        "spec": spec,
    }
    return {**obj, "status": status} if status else obj


def owned(obj: Object, manager: str, operation: str = "Apply") -> set[str]:
    """The paths a manager owns, joined."""
    return {
        "/".join(path)
        for key, entry in decode_managed(obj).items()
        if (key.manager, key.operation) == (manager, operation)
        for path in entry.paths
    }


def managers(obj: Object) -> list[tuple[str, str, str]]:
    return [(key.manager, key.operation, entry.time) for key, entry in decode_managed(obj).items()]


def test_applying_what_is_not_there_creates_it_and_owns_every_field(schema: Schema) -> None:
    obj = apply(schema, live=None, config=config_map({"x": "1"}, labels={"app": "a"}), manager="towpath", time=ONE)
    assert obj["data"] == {"x": "1"}
    assert owned(obj, "towpath") == {"f:data/f:x", "f:metadata/f:labels/f:app"}
    assert managers(obj) == [("towpath", "Apply", ONE)]


def test_names_and_server_fields_are_owned_by_nobody(schema: Schema) -> None:
    config = config_map({}, uid="u", resourceVersion="1", generation=2, creationTimestamp=None)
    obj = apply(schema, live=None, config=config, manager="m", time=ONE)
    assert owned(obj, "m") == {"f:data"}


def test_applying_the_same_again_changes_nothing_not_even_the_time(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}), manager="m", time=ONE)
    assert apply(schema, live=live, config=config_map({"x": "1"}), manager="m", time=TWO) == live


def test_a_changed_field_moves_the_time(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}), manager="m", time=ONE)
    obj = apply(schema, live=live, config=config_map({"x": "2"}), manager="m", time=TWO)
    assert obj["data"] == {"x": "2"}
    assert managers(obj) == [("m", "Apply", TWO)]


def test_what_is_no_longer_applied_is_removed(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1", "y": "2"}), manager="m", time=ONE)
    obj = apply(schema, live=live, config=config_map({"y": "2"}), manager="m", time=TWO)
    assert obj["data"] == {"y": "2"}
    assert owned(obj, "m") == {"f:data/f:y"}


def test_what_another_manager_applies_too_stays(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1", "y": "2"}), manager="a", time=ONE)
    live = apply(schema, live=live, config=config_map({"x": "1"}), manager="b", time=TWO)
    obj = apply(schema, live=live, config=config_map({"y": "2"}), manager="a", time=THREE)
    assert obj["data"] == {"x": "1", "y": "2"}
    assert (owned(obj, "a"), owned(obj, "b")) == ({"f:data/f:y"}, {"f:data/f:x"})


def test_what_somebody_else_updated_is_not_removed(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}), manager="m", time=ONE)
    live["metadata"]["uid"] = "u"
    edited = track_update(
        schema, live=live, new={**clone(live), "data": {"x": "1", "z": "9"}}, manager="kubectl", time=TWO
    )
    obj = apply(schema, live=edited, config=config_map({"y": "2"}), manager="m", time=THREE)
    assert obj["data"] == {"y": "2", "z": "9"}


def test_a_change_of_anothers_field_is_refused_with_manager_and_path(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(3), manager="hpa", time=ONE)
    with pytest.raises(ApiConflictError) as refusal:
        apply(schema, live=live, config=deployment(1), manager="towpath", time=TWO)
    assert refusal.value.message == 'Apply failed with 1 conflict: conflict with "hpa": .spec.replicas'
    assert refusal.value.causes == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "hpa"', "field": ".spec.replicas"}
    ]


def test_all_conflicts_are_listed_by_manager(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}), manager="a", time=ONE)
    live = apply(schema, live=live, config=config_map({"y": "1"}), manager="b", time=ONE)
    live["metadata"]["uid"] = "u"
    live = track_update(schema, live=live, new={**clone(live), "immutable": True}, manager="edit", time=ONE)
    config = {**config_map({"x": "2", "y": "2"}), "immutable": False}
    with pytest.raises(ApiConflictError) as refusal:
        apply(schema, live=live, config=config, manager="towpath", time=TWO)
    assert refusal.value.message.splitlines() == [
        'Apply failed with 3 conflicts: conflicts with "a":',
        "- .data.x",
        'conflicts with "b":',
        "- .data.y",
        'conflicts with "edit" using v1:',
        "- .immutable",
    ]
    assert len(refusal.value.causes) == 3


def test_force_takes_the_field_and_the_loser_keeps_the_rest(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1", "y": "1"}), manager="a", time=ONE)
    obj = apply(schema, live=live, config=config_map({"x": "2"}), manager="b", time=TWO, force=True)
    assert obj["data"] == {"x": "2", "y": "1"}
    assert (owned(obj, "a"), owned(obj, "b")) == ({"f:data/f:y"}, {"f:data/f:x"})


def test_a_manager_left_with_nothing_disappears(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}), manager="a", time=ONE)
    obj = apply(schema, live=live, config=config_map({"x": "2"}), manager="b", time=TWO, force=True)
    assert managers(obj) == [("b", "Apply", TWO)]


def test_saying_the_same_value_shares_the_field_without_conflict(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(3), manager="a", time=ONE)
    obj = apply(schema, live=live, config=deployment(3), manager="b", time=TWO)
    assert "f:spec/f:replicas" in owned(obj, "a") & owned(obj, "b")


def test_containers_of_two_managers_live_side_by_side(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(1, {"name": "app", "image": "a:1"}), manager="a", time=ONE)
    sidecar = deployment(None, {"name": "mesh", "image": "m:1"})
    obj = apply(schema, live=live, config=sidecar, manager="mesh", time=TWO)
    assert [container["name"] for container in obj["spec"]["template"]["spec"]["containers"]] == ["app", "mesh"]
    back = apply(schema, live=obj, config=deployment(None), manager="mesh", time=THREE)
    assert [container["name"] for container in back["spec"]["template"]["spec"]["containers"]] == ["app"]


def test_quantities_written_differently_are_no_conflict(schema: Schema) -> None:
    def with_cpu(cpu: str) -> Object:
        return deployment(None, {"name": "app", "resources": {"limits": {"cpu": cpu}}})

    live = apply(schema, live=None, config=with_cpu("1000m"), manager="a", time=ONE)
    assert live["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    obj = apply(schema, live=live, config=with_cpu("1"), manager="b", time=TWO)
    assert [manager for manager, _, _ in managers(obj)] == ["b", "a"]


def test_status_cannot_be_applied_through_the_object(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(1), manager="m", time=ONE)
    obj = apply(schema, live=live, config=deployment(1, replicas=9), manager="m", time=TWO)
    assert "status" not in obj
    assert obj == live


def test_spec_cannot_be_applied_through_status(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(1), manager="m", time=ONE)
    obj = apply(schema, live=live, config=deployment(5, replicas=1), manager="c", time=TWO, subresource="status")
    assert obj["spec"]["replicas"] == 1
    assert obj["status"] == {"replicas": 1}
    assert owned(obj, "c") == {"f:status/f:replicas"}


def test_the_same_manager_has_an_entry_for_each_subresource(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(1), manager="m", time=ONE)
    obj = apply(schema, live=live, config=deployment(None, replicas=1), manager="m", time=TWO, subresource="status")
    assert {key.subresource for key in decode_managed(obj)} == {"", "status"}


def test_fields_from_before_the_first_apply_get_an_owner(schema: Schema) -> None:
    live = config_map({"x": "1"}, uid="u")
    obj = apply(schema, live=live, config=config_map({"y": "2"}), manager="m", time=ONE)
    assert obj["data"] == {"x": "1", "y": "2"}
    assert owned(obj, "before-first-apply", "Update") == {"f:data", "f:data/f:x"}


def test_a_null_is_owned_and_removes_the_value(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(3), manager="m", time=ONE)
    config = deployment()
    config["spec"]["replicas"] = None
    obj = apply(schema, live=live, config=config, manager="m", time=TWO)
    assert "replicas" not in obj["spec"]
    assert "f:spec/f:replicas" in owned(obj, "m")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (config_map({"x": "1"}, managedFields=[]), "metadata.managedFields must be nil"),
        ({**config_map(), "dta": {}}, ".dta: field not declared in schema"),
        (config_map({"x": 1}), ".data.x: expected string, got number 1"),
        (
            deployment(None, {"name": "a"}, {"name": "a"}),
            '.spec.template.spec.containers: duplicate entries for key [name="a"]',
        ),
        ({"apiVersion": "v1", "kind": "Nothing"}, 'no kind "Nothing"'.replace('"', "'")),
    ],
)
def test_a_configuration_that_is_none_is_refused(schema: Schema, config: Object, message: str) -> None:
    with pytest.raises(ApiError) as refusal:
        apply(schema, live=None, config=config, manager="m", time=ONE)
    assert message in refusal.value.message


def test_several_faults_of_a_configuration_are_listed(schema: Schema) -> None:
    with pytest.raises(ApiError) as refusal:
        apply(schema, live=None, config={**config_map({"x": 1}), "foo": 1}, manager="m", time=ONE)
    assert refusal.value.message.splitlines() == [
        "failed to create typed patch object (dev/a; /v1, Kind=ConfigMap): errors:",
        "  .data.x: expected string, got number 1",
        "  .foo: field not declared in schema",
    ]


def test_nothing_that_is_passed_in_is_changed(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(3, {"name": "a", "image": "x"}), manager="m", time=ONE)
    config = deployment(None, {"name": "b", "resources": {"limits": {"cpu": "1000m"}}})
    before = clone(live), clone(config)
    obj = apply(schema, live=live, config=config, manager="m", time=TWO)
    obj["spec"]["template"]["spec"]["containers"].append("mine")
    assert (live, config) == before


def test_creating_by_update_owns_leaves_and_not_structs(schema: Schema) -> None:
    obj = track_update(schema, live=None, new=deployment(1, {"name": "a"}), manager="kubectl", time=ONE)
    assert owned(obj, "kubectl", "Update") == {
        "f:spec/f:replicas",
        "f:spec/f:selector",
        "f:spec/f:template/f:metadata/f:labels",
        "f:spec/f:template/f:metadata/f:labels/f:app",
        'f:spec/f:template/f:spec/f:containers/k:{"name":"a"}',
        'f:spec/f:template/f:spec/f:containers/k:{"name":"a"}/f:name',
    }


def test_an_update_takes_what_it_changes_in_silence(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1", "y": "1"}, uid="u"), manager="m", time=ONE)
    obj = track_update(schema, live=live, new=config_map({"x": "2", "y": "1"}, uid="u"), manager="edit", time=TWO)
    assert owned(obj, "m") == {"f:data/f:y"}
    assert owned(obj, "edit", "Update") == {"f:data/f:x"}


def test_an_update_that_changes_nothing_leaves_ownership_and_times(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}, uid="u"), manager="m", time=ONE)
    assert track_update(schema, live=live, new=clone(live), manager="edit", time=TWO) == live


def test_an_update_may_edit_or_reset_managed_fields(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}, uid="u"), manager="m", time=ONE)
    renamed = clone(live)
    renamed["metadata"]["managedFields"][0]["manager"] = "other"
    assert owned(track_update(schema, live=live, new=renamed, manager="e", time=TWO), "other") == {"f:data/f:x"}
    reset = clone(live)
    reset["metadata"]["managedFields"] = []
    assert "managedFields" not in track_update(schema, live=live, new=reset, manager="e", time=TWO)["metadata"]


def test_managed_fields_cannot_be_set_through_a_subresource(schema: Schema) -> None:
    live = apply(schema, live=None, config=deployment(1), manager="m", time=ONE)
    live["metadata"]["uid"] = "u"
    new = {**clone(live), "status": {"replicas": 1}}
    new["metadata"]["managedFields"] = []
    obj = track_update(schema, live=live, new=new, manager="c", time=TWO, subresource="status")
    assert "f:spec/f:replicas" in owned(obj, "m")


def test_managed_fields_that_make_no_sense_fall_back_to_the_live_ones(schema: Schema) -> None:
    live = apply(schema, live=None, config=config_map({"x": "1"}, uid="u"), manager="m", time=ONE)
    broken = clone(live)
    broken["metadata"]["managedFields"] = [{"manager": "z", "operation": "Guess"}]
    assert owned(track_update(schema, live=live, new=broken, manager="e", time=TWO), "m") == {"f:data/f:x"}


def test_an_object_nobody_tracked_stays_untracked_on_update(schema: Schema) -> None:
    live = config_map({"x": "1"}, uid="u")
    obj = track_update(schema, live=live, new=config_map({"x": "2"}, uid="u"), manager="e", time=ONE)
    assert "managedFields" not in obj["metadata"]
