"""Rules for `metadata` of every kind, and for label selectors."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from towpath.kube.objects import Object, gvk_of, metadata_of
from towpath.kube.resources import find_resource
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.names import (
    label_faults,
    label_value_faults,
    qualified_name_faults,
    segment_faults,
    subdomain_faults,
)

NameRule: TypeAlias = Callable[[str], list[str]]

ANNOTATIONS_LIMIT = 256 * 1024  # bytes of all keys and values together
STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_NAME_RULES: Mapping[str, NameRule] = MappingProxyType(
    {"Namespace": label_faults, "Service": label_faults, "Role": segment_faults, "RoleBinding": segment_faults}
)


def validate_metadata(obj: Object, causes: Causes) -> None:
    """Check `metadata` of a new or changed object."""
    metadata = metadata_of(obj)
    kind = gvk_of(obj)
    name, prefix = metadata.get("name"), metadata.get("generateName")
    rule = _NAME_RULES.get(kind.kind, subdomain_faults)
    if prefix:
        causes.check("metadata.generateName", prefix, rule(f"{prefix.rstrip('-') or 'x'}-x"))
    if name:
        causes.check("metadata.name", name, rule(name))
    else:
        causes.required("metadata.name", "name or generateName is required")
    resource = find_resource(kind)
    if resource is not None and resource.namespaced:
        namespace = metadata.get("namespace")
        if namespace:
            causes.check("metadata.namespace", namespace, label_faults(namespace))
        else:
            causes.required("metadata.namespace")
    validate_labels(metadata.get("labels"), "metadata.labels", causes)
    validate_annotations(metadata.get("annotations"), "metadata.annotations", causes)
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        where = f"metadata.finalizers[{index}]"
        causes.check(where, finalizer, qualified_name_faults(finalizer))
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            causes.invalid(where, finalizer, detail)
    _validate_owners(metadata.get("ownerReferences") or [], causes)


def validate_labels(labels: Any, field: str, causes: Causes) -> None:
    """Check a map of labels."""
    for key, value in (labels or {}).items():
        causes.check(field, key, qualified_name_faults(key))
        causes.check(field, value, label_value_faults(value))


def validate_annotations(annotations: Any, field: str, causes: Causes) -> None:
    """Check a map of annotations: names of keys, total size."""
    size = 0
    for key, value in (annotations or {}).items():
        causes.check(field, key, qualified_name_faults(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT:
        causes.too_long(field, ANNOTATIONS_LIMIT)


def validate_selector(selector: Any, field: str, causes: Causes) -> None:
    """Check a label selector in object form."""
    validate_labels((selector or {}).get("matchLabels"), f"{field}.matchLabels", causes)
    for index, expression in enumerate((selector or {}).get("matchExpressions") or []):
        where = f"{field}.matchExpressions[{index}]"
        operator, values = expression.get("operator"), expression.get("values") or []
        causes.check(f"{where}.key", expression.get("key", ""), qualified_name_faults(expression.get("key", "")))
        if operator in {"In", "NotIn"} and not values:
            causes.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"} and values:
            causes.forbidden(f"{where}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator not in {"In", "NotIn", "Exists", "DoesNotExist"}:
            causes.invalid(f"{where}.operator", operator, "not a valid selector operator")


def validate_immutable(old: Any, new: Any, field: str, causes: Causes) -> None:
    """Record a breach if a field changed that may not."""
    if old != new:
        causes.invalid(field, new, "field is immutable")


def _validate_owners(owners: list[dict[str, Any]], causes: Causes) -> None:
    controllers = []
    for index, owner in enumerate(owners):
        where = f"metadata.ownerReferences[{index}]"
        for field, noun in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(field):
                causes.invalid(f"{where}.{field}", owner.get(field, ""), f"{noun} must not be empty")
        if owner.get("controller"):
            controllers.append(owner.get("name"))
    if len(controllers) > 1:
        detail = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {controllers[1]}"
        )
        causes.invalid("metadata.ownerReferences", controllers, detail)
