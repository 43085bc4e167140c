"""RFC 6902, with the API server's errors."""

from typing import Any

import pytest

from towpath.kube.errors import BadRequestError, InvalidError
from towpath.kube.objects import clone
from towpath.kube.patches.json_patch import MAX_OPERATIONS, json_patch

DOCUMENT: dict[str, Any] = {"a": 1, "l": [1, 2], "m": {"x/y": 1, "t~": 2, "": 3}, "n": None}

APPLIED: list[tuple[list[dict[str, Any]], Any]] = [
    ([], DOCUMENT),
    ([{"op": "add", "path": "/b", "value": 2}], {**DOCUMENT, "b": 2}),
    ([{"op": "add", "path": "/a", "value": None}], {**DOCUMENT, "a": None}),
    ([{"op": "add", "path": "/l/0", "value": 0}], {**DOCUMENT, "l": [0, 1, 2]}),
    ([{"op": "add", "path": "/l/2", "value": 3}], {**DOCUMENT, "l": [1, 2, 3]}),
    ([{"op": "add", "path": "/l/-", "value": 3}], {**DOCUMENT, "l": [1, 2, 3]}),
    ([{"op": "remove", "path": "/l/0"}], {**DOCUMENT, "l": [2]}),
    ([{"op": "remove", "path": "/m/x~1y"}, {"op": "remove", "path": "/m/t~0"}], {**DOCUMENT, "m": {"": 3}}),
    ([{"op": "remove", "path": "/m/"}], {**DOCUMENT, "m": {"x/y": 1, "t~": 2}}),
    ([{"op": "replace", "path": "/a", "value": [1]}], {**DOCUMENT, "a": [1]}),
    ([{"op": "replace", "path": "", "value": {"z": 1}}], {"z": 1}),
    ([{"op": "move", "from": "/a", "path": "/l/0"}], {"l": [1, 1, 2], "m": DOCUMENT["m"], "n": None}),
    (
        [{"op": "copy", "from": "/l", "path": "/k"}, {"op": "add", "path": "/k/-", "value": 9}],
        {**DOCUMENT, "k": [1, 2, 9]},
    ),
    ([{"op": "test", "path": "/l", "value": [1, 2]}, {"op": "remove", "path": "/n"}], {k: DOCUMENT[k] for k in "alm"}),
    ([{"op": "test", "path": "/missing", "value": None}], DOCUMENT),
]


@pytest.mark.parametrize(("operations", "expected"), APPLIED)
def test_operations_apply_in_order(operations: list[dict[str, Any]], expected: Any) -> None:
    assert json_patch(clone(DOCUMENT), operations) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "remove", "path": ""},
        {"op": "remove", "path": "/l/2"},
        {"op": "replace", "path": "/missing/b", "value": 1},
        {"op": "replace", "path": "/l/2", "value": 1},
        {"op": "add", "path": "/missing/b", "value": 1},
        {"op": "add", "path": "/l/4", "value": 1},
        {"op": "add", "path": "/l/01", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/l/-1", "value": 1},
        {"op": "add", "path": f"/l/{'9' * 30}", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
        {"op": "move", "from": "/missing", "path": "/b"},
        {"op": "move", "from": "/m", "path": "/m/inside"},
        {"op": "copy", "from": "/missing", "path": "/b"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/missing", "value": 1},
    ],
)
def test_what_does_not_apply_to_this_object_is_invalid(operation: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="the server rejected our request due to an error in our request"):
        json_patch(clone(DOCUMENT), [operation])


@pytest.mark.parametrize(
    "operation",
    [
        "add",
        {},
        {"op": "merge", "path": "/a"},
        {"op": "add", "path": "/b"},
        {"op": "add", "path": "b", "value": 1},
        {"op": "add", "value": 1},
        {"op": "move", "path": "/b"},
    ],
)
def test_what_is_no_operation_is_a_bad_request(operation: Any) -> None:
    with pytest.raises(BadRequestError, match="error decoding patch"):
        json_patch(clone(DOCUMENT), [operation])


def test_a_patch_has_a_limit() -> None:
    with pytest.raises(BadRequestError, match="maximum operations"):
        json_patch({}, [{}] * (MAX_OPERATIONS + 1))


def test_a_copied_value_is_not_shared() -> None:
    patched = json_patch(
        {"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/-", "value": 2}]
    )
    assert patched == {"a": [1], "b": [1, 2]}


def test_replacing_a_field_that_is_not_there_sets_it_as_upstream_does() -> None:
    assert json_patch({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}]) == {"a": 1, "b": 2}
