"""Paths of the Kubernetes API, and what they ask for."""

import pytest

from towpath.cluster.facade.paths import parse_request
from towpath.kube.errors import ApiNotFoundError, MethodNotAllowedError


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "/api/v1/pods", ("list", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces/dev/pods", ("list", "pods", "dev", "", "")),
        ("POST", "/api/v1/namespaces/dev/pods", ("create", "pods", "dev", "", "")),
        ("DELETE", "/api/v1/namespaces/dev/pods", ("deletecollection", "pods", "dev", "", "")),
        ("GET", "/api/v1/namespaces/dev/pods/a", ("get", "pods", "dev", "a", "")),
        ("GET", "/api/v1/namespaces/dev/pods/a/log", ("get", "pods", "dev", "a", "log")),
        ("GET", "/api/v1/namespaces", ("list", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/dev", ("get", "namespaces", "", "dev", "")),
        ("PUT", "/api/v1/namespaces/dev/status", ("update", "namespaces", "", "dev", "status")),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/dev/deployments/web/scale",
            ("patch", "deployments", "dev", "web", "scale"),
        ),
    ],
)
def test_a_path_names_verb_resource_and_object(method: str, path: str, asked: tuple[str, ...]) -> None:
    request = parse_request(method, path, {})

    found = (request.verb, request.resource.plural, request.namespace, request.name, request.subresource)
    assert found == asked


@pytest.mark.parametrize("value", ["true", "1", "TRUE"])
def test_a_list_that_watches_is_a_watch(value: str) -> None:
    assert parse_request("GET", "/api/v1/pods", {"watch": value}).verb == "watch"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v2/pods",
        "/apis/apps/v1",
        "/apis/extensions/v1beta1/ingresses",
        "/api/v1/nothings",
        "/api/v1/pods/a",
        "/api/v1/namespaces/dev/nodes",
        "/api/v1/namespaces/dev/pods/a/exec",
        "/api/v1/namespaces/dev/pods/a/log/b",
    ],
)
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(ApiNotFoundError):
        parse_request("GET", path, {})


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/v1/pods"), ("POST", "/api/v1/pods")])
def test_a_method_that_makes_no_sense_there_is_refused(method: str, path: str) -> None:
    with pytest.raises(MethodNotAllowedError):
        parse_request(method, path, {})
