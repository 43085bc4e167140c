"""Types: shapes, list keys, merge strategies."""

from collections.abc import Callable
from typing import Any

import pytest

from towpath.kube.typed import ABSENT, Scalar, Shape, Type, TypedError

TypeOf = Callable[[str], Type]


def field(kind: Type, *path: str) -> Type:
    for name in path:
        assert kind.map is not None
        found = kind.map.find_type(name)
        assert found is not None, name
        kind = found.list.element if found.list is not None and found.scalar is None else found
    return kind


def test_lists_are_atomic_unless_declared(type_of: TypeOf) -> None:
    pod = type_of("core.v1.PodSpec").map
    assert pod is not None
    containers, tolerations = pod.find_field("containers"), pod.find_field("tolerations")
    assert containers is not None
    assert containers.list is not None
    assert (containers.list.atomic, containers.list.keys) == (False, ("name",))
    assert tolerations is not None
    assert tolerations.list is not None
    assert tolerations.list.atomic


def test_maps_are_granular_unless_declared(type_of: TypeOf) -> None:
    spec = type_of("apps.v1.DeploymentSpec")
    selector, template = field(spec, "selector"), field(spec, "template")
    assert selector.map is not None
    assert selector.map.atomic
    assert template.map is not None
    assert not template.map.atomic


@pytest.mark.parametrize(
    ("path", "scalar"),
    [
        (("replicas",), Scalar.NUMERIC),
        (("paused",), Scalar.BOOLEAN),
        (("strategy", "type"), Scalar.STRING),
        (("strategy", "rollingUpdate", "maxSurge"), Scalar.UNTYPED),
        (("template", "spec", "containers", "resources", "limits", "cpu"), Scalar.UNTYPED),
        (("template", "metadata", "creationTimestamp"), Scalar.UNTYPED),
    ],
)
def test_scalars_have_their_kind(type_of: TypeOf, path: tuple[str, ...], scalar: Scalar) -> None:
    assert field(type_of("apps.v1.DeploymentSpec"), *path).scalar is scalar


@pytest.mark.parametrize(
    ("port", "element"),
    [
        ({"containerPort": 80}, 'k:{"containerPort":80,"protocol":"TCP"}'),
        ({"containerPort": 80, "protocol": "UDP", "name": "x"}, 'k:{"containerPort":80,"protocol":"UDP"}'),
    ],
)
def test_an_item_is_named_by_its_keys_with_their_defaults(type_of: TypeOf, port: dict[str, Any], element: str) -> None:
    container = type_of("core.v1.Container").map
    assert container is not None
    ports = container.find_field("ports")
    assert ports is not None
    assert ports.list is not None
    assert ports.list.path_element(port) == element


@pytest.mark.parametrize("item", [None, "x", {}, {"image": "x"}])
def test_an_item_without_keys_cannot_be_named(type_of: TypeOf, item: Any) -> None:
    pod = type_of("core.v1.PodSpec").map
    assert pod is not None
    containers = pod.find_field("containers")
    assert containers is not None
    assert containers.list is not None
    with pytest.raises(TypedError):
        containers.list.path_element(item)


def test_items_of_a_set_are_named_by_their_value(schema: Any) -> None:
    meta = schema.get_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    finalizers = meta.map.find_field("finalizers").list
    assert finalizers.path_element("a/b") == 'v:"a/b"'
    with pytest.raises(TypedError, match="scalars only"):
        finalizers.path_element({"a": 1})


@pytest.mark.parametrize(
    ("value", "shape"),
    [({}, Shape.MAP), ([], Shape.LIST), ("x", Shape.SCALAR), (0, Shape.SCALAR), (None, Shape.MAP), (ABSENT, Shape.MAP)],
)
def test_free_form_data_has_the_shape_of_its_value(free_type: Type, value: Any, shape: Shape) -> None:
    assert free_type.shape_of(value) is shape


def test_a_value_of_no_allowed_shape_is_taken_for_the_declared_one(type_of: TypeOf) -> None:
    assert type_of("core.v1.PodSpec").shape_of([1]) is Shape.MAP


def test_fields_that_are_not_declared_have_no_type(type_of: TypeOf) -> None:
    pod = type_of("core.v1.PodSpec").map
    assert pod is not None
    assert pod.find_type("container") is None


def test_merge_strategies_come_with_the_field(type_of: TypeOf) -> None:
    pod = type_of("core.v1.PodSpec").map
    assert pod is not None
    assert pod.patch_strategies("volumes") == ("merge", "retainKeys")
    assert pod.patch_merge_key("volumes") == "name"
    assert (pod.patch_strategies("tolerations"), pod.patch_merge_key("tolerations")) == ((), "")


def test_a_map_type_beside_a_reference_overrides_it() -> None:
    definitions = {"a": {"type": "object", "properties": {"x": {"type": "string"}}}}
    types = {name: Type(definition, lambda _: types["a"], name) for name, definition in definitions.items()}
    plain = Type.of({"$ref": "#/components/schemas/a"}, types.__getitem__)
    atomic = Type.of({"$ref": "#/components/schemas/a", "x-kubernetes-map-type": "atomic"}, types.__getitem__)
    assert plain is types["a"]
    assert atomic.map is not None
    assert atomic.map.atomic
    assert plain.map is not None
    assert not plain.map.atomic
