"""What the server has: the legacy lists, and the aggregated form (apidiscovery.k8s.io/v2) kubectl reads first. Pure.

Only what is served is advertised: a client that lists and watches everything it discovers must not meet a 404.
"""

from collections.abc import Iterable
from typing import Any

from towpath.kube.errors import ApiNotFoundError
from towpath.kube.resources import RESOURCES, Resource

# The minor whose schema and behaviour the kernel follows.
MAJOR, MINOR = "1", "37"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
SUBRESOURCE_VERBS = {"status": ("get", "patch", "update"), "scale": ("get", "patch", "update"), "log": ("get",)}


def version_info(towpath_version: str) -> dict[str, str]:
    """The answer of `/version`."""
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": f"v{MAJOR}.{MINOR}.0+towpath-{towpath_version}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "cpython",
        "platform": "linux",
    }


def api_versions(address: str) -> dict[str, Any]:
    """The answer of `/api`: the versions of the core group."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def api_groups() -> dict[str, Any]:
    """The answer of `/apis`: all named groups."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group in _groups() if group]}


def api_group(group: str) -> dict[str, Any]:
    """The answer of `/apis/GROUP`. Raises ApiNotFoundError."""
    if not group or group not in _groups():
        raise ApiNotFoundError("the server could not find the requested resource")
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}


def resource_list(group: str, version: str) -> dict[str, Any]:
    """The answer of `/api/v1` and `/apis/GROUP/VERSION`. Raises ApiNotFoundError."""
    resources = _of(group, version)
    if not resources:
        raise ApiNotFoundError("the server could not find the requested resource")
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": resources[0].gvk.api_version,
        "resources": [entry for resource in resources for entry in _legacy(resource)],
    }


def aggregated(*, core: bool) -> dict[str, Any]:
    """The aggregated answer of `/api` (core) or `/apis` (the rest)."""
    items = [
        {
            "metadata": {"name": group, "creationTimestamp": None},
            "versions": [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [_discovered(resource) for resource in _of(group, version)],
                }
                for version in _versions(group)
            ],
        }
        for group in _groups()
        if (group == "") == core
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def group_versions() -> list[tuple[str, str]]:
    """All served pairs of group and version."""
    return [(group, version) for group in _groups() for version in _versions(group)]


def _groups() -> list[str]:
    return list(dict.fromkeys(resource.gvk.group for resource in RESOURCES))


def _versions(group: str) -> list[str]:
    return list(dict.fromkeys(resource.gvk.version for resource in RESOURCES if resource.gvk.group == group))


def _of(group: str, version: str) -> list[Resource]:
    return [one for one in RESOURCES if one.gvk.group == group and one.gvk.version == version]


def _group(group: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in _versions(group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _legacy(resource: Resource) -> Iterable[dict[str, Any]]:
    yield {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.gvk.kind,
        "verbs": list(VERBS),
        **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
    }
    for subresource in _served(resource):
        yield {
            "name": f"{resource.plural}/{subresource}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": "Scale" if subresource == "scale" else resource.gvk.kind,
            "verbs": list(SUBRESOURCE_VERBS[subresource]),
            **({"group": "autoscaling", "version": "v1"} if subresource == "scale" else {}),
        }


def _discovered(resource: Resource) -> dict[str, Any]:
    return {
        "resource": resource.plural,
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(VERBS),
        **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
        "subresources": [
            {
                "subresource": subresource,
                "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}
                if subresource == "scale"
                else _kind(resource),
                "verbs": list(SUBRESOURCE_VERBS[subresource]),
            }
            for subresource in _served(resource)
        ],
    }


def _served(resource: Resource) -> list[str]:
    return [subresource for subresource in resource.subresources if subresource in SUBRESOURCE_VERBS]


def _kind(resource: Resource) -> dict[str, str]:
    return {"group": resource.gvk.group, "version": resource.gvk.version, "kind": resource.gvk.kind}
