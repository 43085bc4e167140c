"""The vocabulary of the Kubernetes verbs, shared by everyone who speaks or serves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict

from towpath.kube.objects import Object


class PatchType(StrEnum):
    """The media types of `PATCH` (apply is a verb of its own here)."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


class EventType(StrEnum):
    """The types of a watch event."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


class Propagation(StrEnum):
    """What a delete does to dependents."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


class FieldValidation(StrEnum):
    """What happens to unknown or duplicate fields: dropped, warned about, or refused."""

    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch body with its type: a list for JSON patch, a mapping for the others."""

    type: PatchType
    body: list[dict[str, Any]] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch; `object` is the new state, or the last state of what was deleted."""

    type: EventType
    object: Object


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A consistent list, and the resource version to watch from."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How a write is done. `field_manager` names the writer in managedFields."""

    field_manager: str
    dry_run: bool = False
    force: bool = False  # apply only: take fields from other managers
    subresource: str = ""  # "status" or "scale"
    field_validation: FieldValidation = FieldValidation.STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """How an object is deleted. `uid` and `resource_version` are preconditions."""

    propagation: Propagation = Propagation.BACKGROUND
    grace_period_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


class LogOptions(TypedDict, total=False):
    """What a request for a container's log may ask for."""

    previous: bool  # of the run before
    follow: bool  # until the run ends
    tail_lines: int | None  # only so many lines from the end
    since_seconds: float | None  # only what is younger
    timestamps: bool  # each line with its time
