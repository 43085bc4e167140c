"""The walks over typed values: field sets, comparison, merge, removal."""

from collections.abc import Callable
from typing import Any

import pytest

from towpath.kube.apply.compare import compare
from towpath.kube.apply.fieldset import fieldset
from towpath.kube.apply.merge import merge
from towpath.kube.apply.remove import remove
from towpath.kube.typed import ABSENT, Type

TypeOf = Callable[[str], Type]


def named(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": name, **fields} for name in names]


def paths(found: set[tuple[str, ...]]) -> set[str]:
    return {"/".join(path) for path in found}


FIELDSETS = [
    ({}, set()),
    ({"hostNetwork": True}, {"f:hostNetwork"}),
    ({"hostNetwork": None}, {"f:hostNetwork"}),
    ({"securityContext": {}}, {"f:securityContext"}),
    ({"securityContext": {"runAsUser": 1}}, {"f:securityContext/f:runAsUser"}),
    ({"nodeSelector": {"a": "b"}}, {"f:nodeSelector"}),
    ({"tolerations": [{"key": "a"}]}, {"f:tolerations"}),
    ({"containers": []}, set()),
    ({"containers": None}, {"f:containers"}),
    ({"containers": named("a")}, {'f:containers/k:{"name":"a"}', 'f:containers/k:{"name":"a"}/f:name'}),
    ({"containers": named("a", "a")}, {'f:containers/k:{"name":"a"}'}),
    ({"overhead": {"cpu": "1"}}, {"f:overhead/f:cpu"}),
]


@pytest.mark.parametrize(("value", "expected"), FIELDSETS)
def test_a_field_set_holds_leaves_items_and_keys(type_of: TypeOf, value: dict[str, Any], expected: set[str]) -> None:
    assert paths(fieldset(type_of("core.v1.PodSpec"), value)) == expected


def test_a_set_is_owned_by_value(schema: Any) -> None:
    meta = schema.get_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    assert paths(fieldset(meta, {"finalizers": ["a/b"]})) == {'f:finalizers/v:"a/b"'}


def test_free_form_maps_are_owned_by_key_and_lists_whole(free_type: Type) -> None:
    assert paths(fieldset(free_type, {"a": {"b": [1, 2]}})) == {"f:a", "f:a/f:b"}


def changes(kind: Type, left: Any, right: Any) -> tuple[set[str], set[str], set[str]]:
    found = compare(kind, left, right)
    return paths(found.removed), paths(found.modified), paths(found.added)


COMPARISONS: list[tuple[dict[str, Any], dict[str, Any], set[str], set[str], set[str]]] = [
    ({}, {}, set(), set(), set()),
    ({"hostname": "a"}, {"hostname": "b"}, set(), {"f:hostname"}, set()),
    ({"hostname": "a"}, {}, {"f:hostname"}, set(), set()),
    ({}, {"hostname": "a"}, set(), set(), {"f:hostname"}),
    ({"hostname": None}, {"hostname": "a"}, set(), {"f:hostname"}, set()),
    ({"hostNetwork": True}, {"hostNetwork": 1}, set(), {"f:hostNetwork"}, set()),
    ({"priority": 1}, {"priority": 1.0}, set(), set(), set()),
    ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"a": "2"}}, set(), {"f:nodeSelector"}, set()),
    ({"tolerations": [{"key": "a"}]}, {"tolerations": []}, set(), {"f:tolerations"}, set()),
    (
        {"containers": named("a", image="x")},
        {"containers": named("a", image="y")},
        set(),
        {'f:containers/k:{"name":"a"}/f:image'},
        set(),
    ),
    ({"containers": named("a", "b")}, {"containers": named("b", "a")}, set(), set(), set()),
    (
        {"containers": named("a")},
        {"containers": named("b")},
        {'f:containers/k:{"name":"a"}', 'f:containers/k:{"name":"a"}/f:name'},
        set(),
        {'f:containers/k:{"name":"b"}', 'f:containers/k:{"name":"b"}/f:name'},
    ),
    (
        {},
        {"securityContext": {"runAsUser": 1}},
        set(),
        set(),
        {"f:securityContext", "f:securityContext/f:runAsUser"},
    ),
    ({"securityContext": {}}, {"securityContext": None}, set(), {"f:securityContext"}, set()),
    ({"containers": []}, {"containers": None}, set(), {"f:containers"}, set()),
]


@pytest.mark.parametrize(("left", "right", "removed", "modified", "added"), COMPARISONS)
def test_a_comparison_says_what_was_removed_modified_and_added(
    type_of: TypeOf,
    left: dict[str, Any],
    right: dict[str, Any],
    removed: set[str],
    modified: set[str],
    added: set[str],
) -> None:
    assert changes(type_of("core.v1.PodSpec"), left, right) == (removed, modified, added)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (named("a", "a"), named("a", "a"), (set(), set(), set())),
        (named("a", "a"), named("a", "a", value="1"), (set(), {'k:{"name":"a"}'}, set())),
        (named("a", "a"), named("a"), ({'k:{"name":"a"}'}, set(), {'k:{"name":"a"}', 'k:{"name":"a"}/f:name'})),
        (named("a"), named("a", "a"), ({'k:{"name":"a"}', 'k:{"name":"a"}/f:name'}, set(), {'k:{"name":"a"}'})),
        (named("a", "a"), [], ({'k:{"name":"a"}'}, set(), set())),
        ([], named("a", "a"), (set(), set(), {'k:{"name":"a"}'})),
    ],
)
def test_duplicates_are_one_opaque_item(
    type_of: TypeOf, left: Any, right: Any, expected: tuple[set[str], set[str], set[str]]
) -> None:
    container = type_of("core.v1.Container").map
    assert container is not None
    env = container.find_field("env")
    assert env is not None
    assert changes(env, left, right) == expected


def test_free_form_data_that_changes_its_shape_loses_what_was_below(free_type: Type) -> None:
    assert changes(free_type, {"a": {"b": 1}}, {"a": "x"}) == ({"f:a/f:b"}, {"f:a"}, set())


MERGES = [
    (named("a", "b"), named("b", "a"), "ba"),
    (named("a", "b", "c"), named("c", "a"), "bca"),
    (named("a", "b", "c"), named("x"), "abcx"),
    (named("a", "b", "c"), named("x", "b"), "axbc"),
    (named("a", "b"), named("a", "x", "b"), "axb"),
    (named("b", "x", "a"), named("a", "b"), "xab"),
    (named("y", "y", "x"), named("y", "z"), "yzx"),  # a live duplicate lets the next new item go first
    ([], named("a"), "a"),
    (named("a"), [], "a"),
]


@pytest.mark.parametrize(("live", "config", "order"), MERGES)
def test_merged_lists_keep_the_order_of_the_configuration(type_of: TypeOf, live: Any, config: Any, order: str) -> None:
    merged = merge(type_of("core.v1.PodSpec"), {"containers": live}, {"containers": config})
    assert "".join(item["name"] for item in merged["containers"]) == order


def test_merging_replaces_atomic_values_and_joins_granular_ones(type_of: TypeOf) -> None:
    live = {"nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}], "securityContext": {"runAsUser": 1}}
    config: dict[str, Any] = {
        "nodeSelector": {"b": "2"},
        "tolerations": [],
        "securityContext": {"fsGroup": 2},
        "hostname": None,
    }
    assert merge(type_of("core.v1.PodSpec"), live, config) == {
        "nodeSelector": {"b": "2"},
        "tolerations": [],
        "securityContext": {"runAsUser": 1, "fsGroup": 2},
        "hostname": None,
    }


def test_merging_with_nothing_gives_the_other(free_type: Type) -> None:
    assert merge(free_type, ABSENT, {"a": 1}) == {"a": 1}
    assert merge(free_type, {"a": 1}, ABSENT) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ({"hostname": "a", "subdomain": "b"}, ("f:hostname",), {"subdomain": "b"}),
        ({"hostname": "a"}, ("f:hostname",), None),
        ({"hostname": "a"}, ("f:subdomain",), {"hostname": "a"}),
        ({"containers": named("a", "b")}, ("f:containers", 'k:{"name":"a"}'), {"containers": named("b")}),
        ({"containers": named("a")}, ("f:containers", 'k:{"name":"a"}'), {"containers": None}),
        ({"nodeSelector": {"a": "1"}}, ("f:nodeSelector", "f:a"), {"nodeSelector": None}),
        ({"securityContext": {"runAsUser": 1}}, ("f:securityContext", "f:runAsUser"), {"securityContext": None}),
        ({"containers": None}, ("f:containers", 'k:{"name":"a"}'), {"containers": None}),
        ({"hostname": "a"}, ("f:hostname", "f:x"), {"hostname": "a"}),
    ],
)
def test_removal_takes_out_paths_and_leaves_null_for_what_gets_empty(
    type_of: TypeOf, value: dict[str, Any], path: tuple[str, ...], expected: Any
) -> None:
    before = repr(value)
    assert remove(type_of("core.v1.PodSpec"), value, [path]) == expected
    assert repr(value) == before


def test_removing_nothing_returns_the_value_itself(free_type: Type) -> None:
    value: dict[str, Any] = {"a": {}}
    assert remove(free_type, value, []) is value
