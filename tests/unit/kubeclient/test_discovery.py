import pytest

from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK
from towpath.kubeclient.discovery import group_version_path, parse_resource_list, unknown_kind

LIST = {
    "kind": "APIResourceList",
    "groupVersion": "apps/v1",
    "resources": [
        {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get"]},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True, "group": "autoscaling"},
        {"name": "deployments/status", "kind": "Deployment", "namespaced": True},
        {"name": "widgets", "kind": "Widget", "namespaced": False},
    ],
}


def test_kinds_are_read_with_their_scope_and_subresources() -> None:
    kinds = parse_resource_list(LIST, GVK("apps", "v1", "Deployment"))
    assert set(kinds) == {"Deployment", "Widget"}
    deployment = kinds["Deployment"]
    assert (deployment.plural, deployment.namespaced) == ("deployments", True)
    assert deployment.subresources == {"scale", "status"}
    assert deployment.group_resource == "deployments.apps"
    assert not kinds["Widget"].namespaced


@pytest.mark.parametrize("document", [{}, {"resources": None}, {"resources": [5, {}, {"name": "x"}]}])
def test_a_list_without_resources_has_no_kinds(document: dict[str, object]) -> None:
    assert parse_resource_list(document, GVK("apps", "v1", "Deployment")) == {}


def test_the_core_group_has_a_path_of_its_own() -> None:
    assert group_version_path(GVK("", "v1", "Pod")) == "/api/v1"
    assert group_version_path(GVK("apps", "v1", "Deployment")) == "/apis/apps/v1"


def test_a_kind_that_is_missing_is_named_as_kubectl_names_it() -> None:
    error = unknown_kind(GVK("example.test", "v1", "Unicorn"))
    assert isinstance(error, ApiNotFoundError)
    assert error.message == 'no matches for kind "Unicorn" in version "example.test/v1"'
