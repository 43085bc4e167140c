"""managedFields on the wire, and paths."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kube.apply.managers import ManagerEntry, ManagerKey, cap_updates, decode_managed, encode_managed
from towpath.kube.apply.paths import (
    FieldsError,
    decode_fields,
    encode_fields,
    format_path,
    with_named_parents,
    without_below,
)
from towpath.kube.objects import GVK
from towpath.kube.schema import Schema

ELEMENTS = st.sampled_from(
    ["f:a", "f:b", "f:", 'k:{"name":"x"}', 'k:{"containerPort":80,"protocol":"TCP"}', 'v:"f"', "v:1", "i:0"]
)


@given(st.sets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple), max_size=12))
def test_encoding_and_decoding_fields_are_inverses(paths: set[tuple[str, ...]]) -> None:
    assert decode_fields(encode_fields(paths)) == paths


def test_a_member_with_members_below_is_marked_by_a_dot() -> None:
    paths = {("f:a",), ("f:a", "f:b"), ("f:c", "f:d")}
    assert encode_fields(paths) == {"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}}


def test_other_spellings_of_keys_are_the_same_path() -> None:
    assert decode_fields({'k:{"protocol": "TCP", "port": 80}': {}}) == {('k:{"port":80,"protocol":"TCP"}',)}
    assert decode_fields({'v:"a\\u003cb"': {}}) == {('v:"a<b"',)}


def test_elements_of_unknown_kinds_are_dropped() -> None:
    assert decode_fields({"z:new": {}, "f:a": {}}) == {("f:a",)}


@pytest.mark.parametrize("document", [[], "x", {"f:a": 1}, {"fa": {}}, {"k:{": {}}])
def test_what_is_no_field_set_is_refused(document: Any) -> None:
    with pytest.raises(FieldsError):
        decode_fields(document)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:c", 'k:{"name":"sensor"}', "f:image"), '.c[name="sensor"].image'),
        (("f:p", 'k:{"protocol":"TCP","port":80}'), '.p[port=80,protocol="TCP"]'),
        (("f:finalizers", 'v:"a/b"'), '.finalizers[="a/b"]'),
        (("f:x", "i:3"), ".x[3]"),
    ],
)
def test_paths_read_as_upstream_writes_them(path: tuple[str, ...], text: str) -> None:
    assert format_path(path) == text


def test_declared_fields_on_the_way_become_members(schema: Schema) -> None:
    root = schema.find_type(GVK("", "v1", "Pod"))
    assert root is not None
    path = ("f:spec", "f:containers", 'k:{"name":"a"}', "f:resources", "f:limits", "f:cpu")
    assert with_named_parents({path}, root) - {path} == {path[:1], path[:2], path[:4], path[:5]}
    labels = ("f:metadata", "f:labels", "f:a")
    assert with_named_parents({labels}, root) - {labels} == {labels[:1], labels[:2]}


def test_paths_below_a_prefix_are_left_out() -> None:
    paths = {("f:status",), ("f:status", "f:a"), ("f:spec", "f:status"), ("f:metadata", "f:labels", "f:a")}
    assert without_below(paths, frozenset({("f:status",), ("f:metadata", "f:labels")})) == {("f:spec", "f:status")}
    assert without_below(paths, frozenset()) == paths


def entry(manager: str, operation: str = "Update", **fields: Any) -> dict[str, Any]:
    base = {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:a": {}},
    }
    return {**base, **fields}


def obj(*entries: Any) -> dict[str, Any]:
    return {"metadata": {"managedFields": list(entries)}}


def test_entries_survive_reading_and_writing() -> None:
    entries = [entry("b", "Apply", time="2026-01-01T00:00:00Z"), entry("a", subresource="status")]
    assert encode_managed(decode_managed(obj(*entries))) == entries


def test_an_apply_entry_is_the_same_in_every_version_an_update_is_not() -> None:
    managed = decode_managed(obj(entry("m", "Apply", apiVersion="v2"), entry("m", apiVersion="v2"), entry("m")))
    assert {key.api_version for key in managed} == {"", "v2", "v1"}


def test_entries_are_ordered_apply_first_then_by_time_and_name() -> None:
    times = ["2026-01-01T00:00:02Z", "2026-01-01T00:00:01Z"]
    entries = [entry("a", time=times[0]), entry("z", time=times[1]), entry("c", time=times[0]), entry("y", "Apply")]
    written = encode_managed(decode_managed(obj(*entries)))
    assert [found["manager"] for found in written] == ["y", "z", "a", "c"]


@pytest.mark.parametrize(
    "broken",
    [
        entry("m", "Guess"),
        entry("m", apiVersion=""),
        entry("m", fieldsType="FieldsV2"),
        entry("m", fieldsV1={"f:a": []}) | {"fieldsV1": {"f:a": [1]}},
        "text",
    ],
)
def test_entries_that_make_no_sense_are_refused(broken: Any) -> None:
    with pytest.raises(FieldsError):
        decode_managed(obj(broken))


def test_managed_fields_must_be_a_list() -> None:
    with pytest.raises(FieldsError, match="expected a list"):
        decode_managed({"metadata": {"managedFields": {"a": 1}}})


def test_old_update_entries_melt_into_one() -> None:
    managed = {
        ManagerKey(f"m{index:02}", "Update", "v1", ""): ManagerEntry(
            "v1", frozenset({(f"f:{index}",)}), f"2026-01-01T00:00:{index:02}Z"
        )
        for index in range(13)
    }
    capped = cap_updates(managed)
    assert len(capped) == 10
    bucket = capped[ManagerKey("ancient-changes", "Update", "v1", "")]
    assert bucket.paths == {("f:0",), ("f:1",), ("f:2",), ("f:3",)}
    assert bucket.time == "2026-01-01T00:00:03Z"
    assert cap_updates(capped) == capped


def test_apply_entries_are_never_melted() -> None:
    managed = {ManagerKey(f"m{index}", "Apply", "", ""): ManagerEntry("v1", {("f:a",)}) for index in range(20)}
    assert cap_updates(managed) == managed
