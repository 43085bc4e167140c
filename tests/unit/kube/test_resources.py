"""The table of served kinds."""

import pytest

from towpath.kube.objects import GVK
from towpath.kube.resources import RESOURCES, find_kind, find_plural, find_resource


def test_each_resource_is_found_by_kind_and_by_plural() -> None:
    for resource in RESOURCES:
        assert find_resource(resource.gvk) is resource
        assert find_plural(resource.gvk.group, resource.gvk.version, resource.plural) is resource
        assert find_kind(resource.gvk.group, resource.gvk.kind) is resource


@pytest.mark.parametrize("gvk", [GVK("apps", "v1beta1", "Deployment"), GVK("", "v1", "Deployment"), GVK("", "", "")])
def test_what_is_not_served_is_not_found(gvk: GVK) -> None:
    assert find_resource(gvk) is None


def test_only_namespaces_and_nodes_are_cluster_scoped() -> None:
    assert {resource.plural for resource in RESOURCES if not resource.namespaced} == {"namespaces", "nodes"}


def test_names_never_collide_within_the_table() -> None:
    names = [name for resource in RESOURCES for name in (resource.plural, resource.singular, *resource.short_names)]
    assert len(names) == len(set(names))


def test_group_resource_is_what_error_messages_name() -> None:
    deployments, pods = find_kind("apps", "Deployment"), find_kind("", "Pod")
    assert deployments is not None
    assert pods is not None
    assert (deployments.group_resource, pods.group_resource) == ("deployments.apps", "pods")
