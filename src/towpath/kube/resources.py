"""The kinds the embedded cluster serves, with what discovery says about each.

A *resource* is the REST side of a kind: its plural in paths, its short names, and its subresources. Kinds that are not
in `RESOURCES` are not served; custom resources are not either. Everything here is upstream's spelling.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from towpath.kube.objects import GVK


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One served kind. `subresources` are path segments below an object: `status`, `scale`, `log`."""

    gvk: GVK
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def group_resource(self) -> str:
        """`deployments.apps`, or `pods` in the core group: the subject of "not found" messages."""
        return f"{self.plural}.{self.gvk.group}" if self.gvk.group else self.plural


def _resource(  # the table below reads as one line a kind
    api_version: str,
    kind: str,
    plural: str,
    *,
    short: str = "",
    all_: bool = False,
    namespaced: bool = True,
    sub: str = "",
) -> Resource:
    return Resource(
        gvk=GVK.parse(api_version, kind),
        plural=plural,
        singular=kind.lower(),
        namespaced=namespaced,
        short_names=tuple(short.split()),
        categories=("all",) if all_ else (),
        subresources=tuple(sub.split()),
    )


RESOURCES: tuple[Resource, ...] = (
    _resource("v1", "Namespace", "namespaces", short="ns", namespaced=False, sub="status finalize"),
    _resource("v1", "Node", "nodes", short="no", namespaced=False, sub="status"),
    _resource("v1", "ConfigMap", "configmaps", short="cm"),
    _resource("v1", "Secret", "secrets"),
    _resource("v1", "ServiceAccount", "serviceaccounts", short="sa"),
    _resource("v1", "Service", "services", short="svc", all_=True, sub="status"),
    _resource("v1", "Pod", "pods", short="po", all_=True, sub="status log"),
    _resource("v1", "Event", "events", short="ev"),
    _resource("apps/v1", "ControllerRevision", "controllerrevisions"),
    _resource("apps/v1", "Deployment", "deployments", short="deploy", all_=True, sub="status scale"),
    _resource("apps/v1", "ReplicaSet", "replicasets", short="rs", all_=True, sub="status scale"),
    _resource("apps/v1", "StatefulSet", "statefulsets", short="sts", all_=True, sub="status scale"),
    _resource("batch/v1", "Job", "jobs", all_=True, sub="status"),
    _resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    _resource("rbac.authorization.k8s.io/v1", "Role", "roles"),
    _resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
)

_BY_GVK: Mapping[GVK, Resource] = MappingProxyType({resource.gvk: resource for resource in RESOURCES})
_BY_PLURAL: Mapping[tuple[str, str, str], Resource] = MappingProxyType(
    {(resource.gvk.group, resource.gvk.version, resource.plural): resource for resource in RESOURCES}
)
_BY_KIND: Mapping[tuple[str, str], Resource] = MappingProxyType(
    {(resource.gvk.group, resource.gvk.kind): resource for resource in RESOURCES}
)


def find_resource(gvk: GVK) -> Resource | None:
    """The resource of a kind, if it is served."""
    return _BY_GVK.get(gvk)


def find_plural(group: str, version: str, plural: str) -> Resource | None:
    """The resource a path names: `find_plural("apps", "v1", "deployments")`."""
    return _BY_PLURAL.get((group, version, plural))


def find_kind(group: str, kind: str) -> Resource | None:
    """The resource of a kind in whatever version is served."""
    return _BY_KIND.get((group, kind))
