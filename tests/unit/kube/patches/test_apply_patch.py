"""Which patch is applied, and to what."""

from typing import Any

import pytest

from towpath.kube.errors import BadRequestError, UnsupportedMediaTypeError
from towpath.kube.patches import apply_patch
from towpath.kube.requests import Patch, PatchType
from towpath.kube.schema import Schema

POD: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}]}}


@pytest.mark.parametrize(
    ("kind", "body", "names"),
    [
        (PatchType.JSON, [{"op": "add", "path": "/spec/containers/-", "value": {"name": "b"}}], ["a", "b"]),
        (PatchType.MERGE, {"spec": {"containers": [{"name": "b"}]}}, ["b"]),
        (PatchType.STRATEGIC, {"spec": {"containers": [{"name": "b"}]}}, ["b", "a"]),
    ],
)
def test_each_type_treats_a_list_its_own_way(schema: Schema, kind: PatchType, body: Any, names: list[str]) -> None:
    result = apply_patch(schema, POD, Patch(kind, body))
    assert [container["name"] for container in result["spec"]["containers"]] == names
    assert POD == {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}]}}


@pytest.mark.parametrize(
    ("kind", "body"), [(PatchType.JSON, {}), (PatchType.MERGE, []), (PatchType.STRATEGIC, [{"op": "add"}])]
)
def test_a_body_of_the_wrong_shape_is_a_bad_request(schema: Schema, kind: PatchType, body: Any) -> None:
    with pytest.raises(BadRequestError, match="error decoding patch"):
        apply_patch(schema, POD, Patch(kind, body))


def test_a_strategic_merge_needs_a_schema(schema: Schema) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        apply_patch(schema, {"apiVersion": "example.com/v1", "kind": "X"}, Patch(PatchType.STRATEGIC, {}))


def test_the_result_must_be_an_object(schema: Schema) -> None:
    with pytest.raises(BadRequestError, match="not an object"):
        apply_patch(schema, POD, Patch(PatchType.JSON, [{"op": "replace", "path": "", "value": 1}]))
