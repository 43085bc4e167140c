"""`metadata.managedFields`: one entry per manager, operation, subresource and (for updates) API version.

An apply entry is found again whatever version it was written with, so a manager has one per subresource. Entries
without fields are removed, and of update entries at most ten are kept: older ones melt into `ancient-changes`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson

from towpath.kube.apply.paths import FieldPath, FieldsError, decode_fields, encode_fields
from towpath.kube.objects import Object, metadata_of

MAX_UPDATE_ENTRIES = 10  # upstream's DefaultMaxUpdateManagers
_ANCIENT = "ancient-changes"


class ManagerKey(NamedTuple):
    """What identifies an entry. `api_version` is empty for Apply."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    @property
    def identifier(self) -> str:
        """The JSON text upstream names an entry by; it decides the order of messages and of entries of one time."""
        fields = zip(("manager", "operation", "apiVersion", "subresource"), self, strict=True)
        return orjson.dumps({name: value for name, value in fields if value}).decode()


@dataclass(frozen=True, slots=True)
class ManagerEntry:
    """What a manager owns. `time` is of its last change, or empty if it never changed anything."""

    api_version: str
    paths: frozenset[FieldPath] | set[FieldPath]
    time: str = ""


Managed: TypeAlias = dict[ManagerKey, ManagerEntry]


def decode_managed(obj: Object) -> Managed:
    """The entries of an object. Raises FieldsError for what is not managedFields."""
    found: Managed = {}
    entries = metadata_of(obj).get("managedFields") or []
    if not isinstance(entries, list):
        raise FieldsError("metadata.managedFields: expected a list")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get("operation") not in {"Apply", "Update"}:
            raise FieldsError(f"metadata.managedFields[{index}]: operation must be `Apply` or `Update`")
        if not entry.get("apiVersion"):
            raise FieldsError(f"metadata.managedFields[{index}]: apiVersion must not be empty")
        if entry.get("fieldsType") != "FieldsV1":
            raise FieldsError(f"metadata.managedFields[{index}]: invalid fieldsType {entry.get('fieldsType')!r}")
        version = entry["apiVersion"]
        operation = entry["operation"]
        key = ManagerKey(
            str(entry.get("manager") or ""),
            operation,
            "" if operation == "Apply" else version,
            str(entry.get("subresource") or ""),
        )
        found[key] = ManagerEntry(version, decode_fields(entry.get("fieldsV1") or {}), str(entry.get("time") or ""))
    return found


def encode_managed(managed: Managed) -> list[dict[str, Any]]:
    """The entries in their wire form and order: Apply first, then by time, manager, version and subresource."""
    ordered = sorted(
        managed.items(),
        key=lambda item: (item[0].operation, item[1].time, item[0].manager, item[1].api_version, item[0]),
    )
    out = []
    for key, entry in ordered:
        wire: dict[str, Any] = {"manager": key.manager, "operation": key.operation, "apiVersion": entry.api_version}
        if entry.time:
            wire["time"] = entry.time
        wire |= {"fieldsType": "FieldsV1", "fieldsV1": encode_fields(entry.paths)}
        if key.subresource:
            wire["subresource"] = key.subresource
        out.append(wire)
    return out


def cap_updates(managed: Managed) -> Managed:
    """At most ten update entries: the oldest of a version are united under `ancient-changes`."""
    updates = sorted(
        (key for key in managed if key.operation == "Update"), key=lambda key: (managed[key].time, key.identifier)
    )
    excess = len(updates) - MAX_UPDATE_ENTRIES
    first: dict[str, ManagerKey] = {}
    out = dict(managed)
    for key in updates:
        if excess <= 0:
            break
        entry = managed[key]
        if entry.api_version not in first:
            first[entry.api_version] = key
            continue
        bucket = ManagerKey(_ANCIENT, "Update", entry.api_version, "")
        if bucket not in out:
            out[bucket] = out.pop(first[entry.api_version])
        out[bucket] = ManagerEntry(entry.api_version, out[bucket].paths | entry.paths, entry.time)
        if key != bucket:
            del out[key]
        excess -= 1
    return out
