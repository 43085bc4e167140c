"""The shape every Kubernetes object shares, and safe ways to read it.

Objects are unstructured JSON dictionaries (`Object`), as they are on the wire. These accessors never mutate and never
fail on a missing field.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Object: TypeAlias = dict[str, Any]


class GVK(NamedTuple):
    """Group, version and kind: what an object says it is. The core group is the empty string."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.api_version} {self.kind}"

    @classmethod
    def parse(cls, api_version: str, kind: str) -> "GVK":
        """From the two fields of an object."""
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)


class ObjectKey(NamedTuple):
    """What names one object: its kind (without version), namespace ("" if cluster-scoped) and name."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`StatefulSet/dev/sensor`, as Flux and kubectl write subjects; without namespace: `Namespace/dev`."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """One entry of `metadata.ownerReferences`."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


def gvk_of(obj: Object) -> GVK:
    """The object's group, version and kind."""
    return GVK.parse(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))


def key_of(obj: Object) -> ObjectKey:
    """The object's key."""
    gvk = gvk_of(obj)
    return ObjectKey(gvk.group, gvk.kind, namespace_of(obj), name_of(obj))


def metadata_of(obj: Object) -> dict[str, Any]:
    """The object's metadata; an empty dictionary if it has none."""
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def name_of(obj: Object) -> str:
    """`metadata.name`, or the empty string."""
    return str(metadata_of(obj).get("name") or "")


def namespace_of(obj: Object) -> str:
    """`metadata.namespace`, or the empty string."""
    return str(metadata_of(obj).get("namespace") or "")


def uid_of(obj: Object) -> str:
    """`metadata.uid`, or the empty string."""
    return str(metadata_of(obj).get("uid") or "")


def resource_version_of(obj: Object) -> str:
    """`metadata.resourceVersion`, or the empty string."""
    return str(metadata_of(obj).get("resourceVersion") or "")


def labels_of(obj: Object) -> dict[str, str]:
    """`metadata.labels`; an empty dictionary if there are none."""
    return metadata_of(obj).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """`metadata.annotations`; an empty dictionary if there are none."""
    return metadata_of(obj).get("annotations") or {}


def owners_of(obj: Object) -> list[OwnerReference]:
    """The object's owner references."""
    return [
        OwnerReference(
            api_version=owner.get("apiVersion", ""),
            kind=owner.get("kind", ""),
            name=owner.get("name", ""),
            uid=owner.get("uid", ""),
            controller=bool(owner.get("controller")),
            block_owner_deletion=bool(owner.get("blockOwnerDeletion")),
        )
        for owner in metadata_of(obj).get("ownerReferences") or []
    ]


def controller_of(obj: Object) -> OwnerReference | None:
    """The owner that manages this object, if any."""
    return next((owner for owner in owners_of(obj) if owner.controller), None)


def find_path(obj: Object, *path: str) -> Any:
    """The value at a path of field names, or None: `find_path(pod, "status", "podIP")`."""
    value: Any = obj
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def clone(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value
