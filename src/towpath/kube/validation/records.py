"""Rules for kinds that hold data and grants: ConfigMap, Secret, Role, RoleBinding, Event."""

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import orjson

from towpath.kube.objects import Object, annotations_of, find_path, namespace_of
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.metadata import validate_immutable
from towpath.kube.validation.names import config_key_faults

Fields: TypeAlias = dict[str, Any]

DATA_LIMIT = 1024 * 1024  # bytes of all values together
_FROZEN = "field is immutable when `immutable` is set"
_HIDDEN = "<secret contents redacted>"

# Which keys a Secret of a type must have.
_SECRET_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
        "kubernetes.io/dockercfg": (".dockercfg",),
        "kubernetes.io/ssh-auth": ("ssh-privatekey",),
        "kubernetes.io/tls": ("tls.crt", "tls.key"),
    }
)
_JSON_KEYS = (".dockerconfigjson", ".dockercfg")


def validate_config_map(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a ConfigMap; one marked immutable stays as it is."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        causes.check(f"data[{key}]", key, config_key_faults(key))
        if key in binary:
            causes.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary:
        causes.check(f"binaryData[{key}]", key, config_key_faults(key))
    size = sum(len(text.encode()) for text in data.values()) + sum(_decoded_size(text) for text in binary.values())
    if size > DATA_LIMIT:
        causes.too_long("data", DATA_LIMIT)
    _validate_frozen(obj, old, ("data", "binaryData"), causes)


def validate_secret(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a Secret; its type is for life, and one marked immutable stays as it is."""
    data = obj.get("data") or {}
    for key in data:
        causes.check(f"data[{key}]", key, config_key_faults(key))
    if sum(_decoded_size(text) for text in data.values()) > DATA_LIMIT:
        causes.too_long("data", DATA_LIMIT)
    kind = obj.get("type", "Opaque")
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            causes.required(f"data[{key}]")
        elif key in _JSON_KEYS and not _is_json(data[key]):
            causes.invalid(f"data[{key}]", _HIDDEN, "must be a JSON document")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        causes.required("data[username]")
        causes.required("data[password]")
    account = "kubernetes.io/service-account.name"
    if kind == "kubernetes.io/service-account-token" and not annotations_of(obj).get(account):
        causes.required(f"metadata.annotations[{account}]")
    if old is not None:
        validate_immutable(old.get("type", "Opaque"), kind, "type", causes)
    _validate_frozen(obj, old, ("data",), causes)


def validate_role(obj: Object, _old: Object | None, causes: Causes) -> None:
    """Check the rules of a Role."""
    for index, rule in enumerate(obj.get("rules") or []):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            causes.required(f"{where}.verbs")
        if rule.get("nonResourceURLs"):
            text = "namespaced rules cannot apply to non-resource URLs"
            causes.invalid(f"{where}.nonResourceURLs", rule["nonResourceURLs"], text)
            continue
        if not rule.get("apiGroups"):
            causes.required(f"{where}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            causes.required(f"{where}.resources", "resource rules must supply at least one resource")


def validate_role_binding(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a RoleBinding; what it grants is for life."""
    reference = obj.get("roleRef") or {}
    causes.one_of("roleRef.kind", reference.get("kind", ""), ("Role",))
    if not reference.get("name"):
        causes.required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects") or []):
        where = f"subjects[{index}]"
        causes.one_of(f"{where}.kind", subject.get("kind", ""), ("ServiceAccount", "User", "Group"))
        if not subject.get("name"):
            causes.required(f"{where}.name")
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            causes.required(f"{where}.namespace")
    if old is not None and old.get("roleRef") != reference:
        causes.invalid("roleRef", reference, "cannot change roleRef")


def validate_event(obj: Object, _old: Object | None, causes: Causes) -> None:
    """Check an Event: it lives in the namespace of what it is about."""
    about = find_path(obj, "involvedObject", "namespace") or "default"
    if about != namespace_of(obj):
        causes.invalid(
            "involvedObject.namespace",
            find_path(obj, "involvedObject", "namespace") or "",
            "does not match event.namespace",
        )


def _validate_frozen(obj: Object, old: Object | None, fields: tuple[str, ...], causes: Causes) -> None:
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        causes.forbidden("immutable", _FROZEN)
    for field in fields:
        if (obj.get(field) or {}) != (old.get(field) or {}):
            causes.forbidden(field, _FROZEN)


def _decoded_size(text: str) -> int:
    return len(text) * 3 // 4 - text[-2:].count("=")


def _is_json(text: str) -> bool:
    try:
        return isinstance(orjson.loads(base64.b64decode(text, validate=True)), dict)
    except (binascii.Error, orjson.JSONDecodeError):
        return False
