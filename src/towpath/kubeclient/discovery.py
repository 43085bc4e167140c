"""What a server serves: kinds by group and version, out of its `APIResourceList` documents. Pure.

The legacy lists are asked for, one group and version at a time: every server has them, and a reconciler needs a handful
of the fifty that the aggregated document describes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK


@dataclass(frozen=True, slots=True)
class ServedKind:
    """A kind as a REST resource of one server."""

    gvk: GVK
    plural: str
    namespaced: bool
    subresources: frozenset[str] = frozenset()

    @property
    def root(self) -> str:
        """`/api/v1` or `/apis/apps/v1`."""
        return group_version_path(self.gvk)

    @property
    def group_resource(self) -> str:
        """`deployments.apps`, as messages name it."""
        return f"{self.plural}.{self.gvk.group}" if self.gvk.group else self.plural


def group_version_path(gvk: GVK) -> str:
    """Where the resources of a kind's group and version are served and listed."""
    return f"/apis/{gvk.group}/{gvk.version}" if gvk.group else f"/api/{gvk.version}"


def parse_resource_list(document: Mapping[str, Any], gvk: GVK) -> dict[str, ServedKind]:
    """The kinds of an `APIResourceList` by name; `gvk` says which group and version was asked for."""
    resources = [one for one in document.get("resources") or [] if isinstance(one, dict)]
    subresources: dict[str, set[str]] = {}
    for resource in resources:
        plural, slash, subresource = str(resource.get("name", "")).partition("/")
        if slash:
            subresources.setdefault(plural, set()).add(subresource)
    kinds: dict[str, ServedKind] = {}
    for resource in resources:
        plural, kind = str(resource.get("name", "")), str(resource.get("kind", ""))
        if "/" in plural or not plural or not kind:
            continue
        served = GVK(gvk.group, gvk.version, kind)
        subs = frozenset(subresources.get(plural, ()))
        kinds.setdefault(kind, ServedKind(served, plural, bool(resource.get("namespaced")), subs))
    return kinds


def unknown_kind(gvk: GVK) -> ApiNotFoundError:
    """The error for a kind the server does not have, in kubectl's words."""
    return ApiNotFoundError(f'no matches for kind "{gvk.kind}" in version "{gvk.api_version}"')
