"""Plurals and scopes of upstream's kinds."""

import pytest

from towpath.kube.resources import RESOURCES
from towpath.kube.upstream import find_address, guess_plural


@pytest.mark.parametrize("resource", RESOURCES, ids=str)
def test_what_the_embedded_cluster_serves_is_addressed_alike(resource: object) -> None:
    gvk = resource.gvk  # type: ignore[attr-defined]
    found = find_address(gvk.group, gvk.kind)

    assert found is not None
    assert (found.plural, found.namespaced) == (resource.plural, resource.namespaced)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("group", "kind", "plural", "namespaced"),
    [
        ("networking.k8s.io", "Ingress", "ingresses", True),
        ("networking.k8s.io", "NetworkPolicy", "networkpolicies", True),
        ("", "Endpoints", "endpoints", True),
        ("", "PersistentVolume", "persistentvolumes", False),
        ("storage.k8s.io", "StorageClass", "storageclasses", False),
        ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", False),
    ],
)
def test_other_kinds_of_upstream_are_known(group: str, kind: str, plural: str, namespaced: bool) -> None:
    found = find_address(group, kind)

    assert found is not None
    assert (found.plural, found.namespaced) == (plural, namespaced)


def test_a_kind_of_others_is_not_known_and_can_only_be_guessed() -> None:
    assert find_address("traefik.io", "IngressRoute") is None
    assert [guess_plural(kind) for kind in ("IngressRoute", "Proxy", "Gateway", "Mesh")] == [
        "ingressroutes",
        "proxies",
        "gateways",
        "meshes",
    ]
