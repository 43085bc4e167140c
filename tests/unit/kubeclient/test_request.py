import json
from typing import Any

import pytest

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import GVK
from towpath.kube.requests import DeleteOptions, FieldValidation, Patch, PatchType, Propagation, WriteOptions
from towpath.kubeclient.discovery import ServedKind
from towpath.kubeclient.request import (
    prepare_apply,
    prepare_create,
    prepare_delete,
    prepare_get,
    prepare_list,
    prepare_log,
    prepare_patch,
    prepare_update,
    prepare_watch,
)

DEPLOYMENT = ServedKind(GVK("apps", "v1", "Deployment"), "deployments", namespaced=True)
NODE = ServedKind(GVK("", "v1", "Node"), "nodes", namespaced=False)
OPTIONS = WriteOptions(field_manager="towpath")


def deployment(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "s", "namespace": "dev", **metadata}}


def test_an_object_is_read_at_its_path() -> None:
    assert prepare_get(DEPLOYMENT, "s", "dev").target == "/apis/apps/v1/namespaces/dev/deployments/s"
    assert prepare_get(NODE, "n", "").target == "/api/v1/nodes/n"


def test_names_are_escaped() -> None:
    assert prepare_get(NODE, "a/b?c", "").target == "/api/v1/nodes/a%2Fb%3Fc"


def test_a_list_asks_for_a_page_of_what_is_selected() -> None:
    prepared = prepare_list(DEPLOYMENT, "", labels="a in (b)", fields="metadata.name=x", limit=500, continue_token="t")
    assert prepared.target == (
        "/apis/apps/v1/deployments?labelSelector=a+in+%28b%29&fieldSelector=metadata.name%3Dx&limit=500&continue=t"
    )


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ("metadata.namespace=dev", "/apis/apps/v1/namespaces/dev/deployments"),
        ("metadata.name=a,metadata.namespace==dev", "/apis/apps/v1/namespaces/dev/deployments"),
        ("metadata.namespace!=dev", "/apis/apps/v1/deployments"),
        ("metadata.namespace=a,metadata.namespace=b", "/apis/apps/v1/deployments"),
    ],
)
def test_a_selector_that_names_a_namespace_asks_in_it(fields: str, path: str) -> None:
    assert prepare_list(DEPLOYMENT, "", labels="", fields=fields, limit=0).path == path


def test_a_list_of_everything_names_no_limit() -> None:
    assert prepare_list(DEPLOYMENT, "dev", labels="", fields="", limit=0).query == {}


def test_a_watch_asks_for_bookmarks_and_a_time_limit() -> None:
    prepared = prepare_watch(DEPLOYMENT, "dev", labels="", fields="", resource_version="7", timeout_seconds=540)
    assert prepared.query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "540",
    }


def test_a_creation_is_posted_to_the_collection_and_never_repeated() -> None:
    prepared = prepare_create(DEPLOYMENT, deployment(), OPTIONS)
    assert (prepared.method, prepared.path) == ("POST", "/apis/apps/v1/namespaces/dev/deployments")
    assert prepared.query == {"fieldManager": "towpath", "fieldValidation": "Strict"}
    assert not prepared.repeatable


def test_a_dry_run_says_so() -> None:
    options = WriteOptions(field_manager="x", dry_run=True, field_validation=FieldValidation.WARN)
    query = prepare_update(DEPLOYMENT, deployment(), options).query
    assert query == {"fieldManager": "x", "fieldValidation": "Warn", "dryRun": "All"}


def test_an_apply_may_be_repeated_and_says_whether_it_forces() -> None:
    prepared = prepare_apply(DEPLOYMENT, deployment(), WriteOptions(field_manager="towpath", force=True))
    assert (prepared.method, prepared.content_type) == ("PATCH", "application/apply-patch+yaml")
    assert prepared.query["force"] == "true"
    assert prepared.repeatable
    assert prepare_apply(DEPLOYMENT, deployment(), OPTIONS).query["force"] == "false"


def test_a_patch_carries_its_media_type_and_its_subresource() -> None:
    patch = Patch(PatchType.JSON, [{"op": "add", "path": "/a", "value": 1}])
    options = WriteOptions(field_manager="x", subresource="status")
    prepared = prepare_patch(DEPLOYMENT, "s", "dev", patch, options)
    assert prepared.path.endswith("/deployments/s/status")
    assert prepared.content_type == "application/json-patch+json"
    assert json.loads(prepared.body) == [{"op": "add", "path": "/a", "value": 1}]


def test_a_deletion_s_options_are_its_body() -> None:
    options = DeleteOptions(
        propagation=Propagation.FOREGROUND, grace_period_seconds=0, uid="u", resource_version="7", dry_run=True
    )
    assert json.loads(prepare_delete(DEPLOYMENT, "s", "dev", options).body) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "dryRun": ["All"],
    }


def test_a_plain_deletion_leaves_the_grace_period_to_the_server() -> None:
    body = json.loads(prepare_delete(DEPLOYMENT, "s", "dev", DeleteOptions()).body)
    assert body == {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}


def test_a_log_is_asked_for_by_container_with_what_was_chosen() -> None:
    prepared = prepare_log("dev", "sensor-0", "main", previous=True, follow=True, tail_lines=0, since_seconds=0.2)
    assert (prepared.method, prepared.path) == ("GET", "/api/v1/namespaces/dev/pods/sensor-0/log")
    assert prepared.query == {
        "container": "main",
        "previous": "true",
        "follow": "true",
        "tailLines": "0",
        "sinceSeconds": "1",
    }
    plain = prepare_log("dev", "sensor-0", "main", previous=False, follow=False, tail_lines=None, timestamps=True)
    assert plain.query == {"container": "main", "timestamps": "true"}


def test_a_log_of_nothing_is_refused_before_it_is_sent() -> None:
    with pytest.raises(BadRequestError, match="may not be empty"):
        prepare_log("dev", "", "main")


def test_requests_of_a_namespace_share_a_flow() -> None:
    assert prepare_get(DEPLOYMENT, "s", "dev").flow == prepare_create(DEPLOYMENT, deployment(), OPTIONS).flow == "dev"


def test_what_cannot_be_a_request_is_refused_before_it_is_sent() -> None:
    with pytest.raises(BadRequestError, match="an empty namespace may not be set during creation"):
        prepare_create(DEPLOYMENT, deployment(namespace=""), OPTIONS)
    with pytest.raises(BadRequestError, match=r"an empty namespace may not be set for deployments\.apps"):
        prepare_get(DEPLOYMENT, "s", "")
    with pytest.raises(BadRequestError, match="name may not be empty"):
        prepare_get(NODE, "", "")
    with pytest.raises(BadRequestError, match="cluster-scoped"):
        prepare_create(NODE, {"metadata": {"name": "n", "namespace": "dev"}}, OPTIONS)
    with pytest.raises(BadRequestError, match="cannot be sent as JSON"):
        prepare_create(DEPLOYMENT, deployment(labels={"a": object()}), OPTIONS)
