"""What is sent for each verb: method, path, query and body. Pure.

`path` is relative to the server's address, which may have a path of its own. Bodies are JSON throughout; an apply's is
JSON under the media type of YAML, of which JSON is a part.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Unpack
from urllib.parse import quote, urlencode

import orjson

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object, name_of, namespace_of
from towpath.kube.requests import DeleteOptions, LogOptions, Patch, WriteOptions
from towpath.kubeclient.discovery import ServedKind

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
# 500: kubectl's and client-go's page; at ConfigMap size about half a megabyte.
PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """One request. `repeatable`: doing it twice has the effect of doing it once, so it may be sent again.

    `attempts` is how often at most, where that is not for the transport to say.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = JSON
    repeatable: bool = True
    flow: str = ""  # what shares one place in the queue of requests: the namespace
    attempts: int | None = None

    @property
    def target(self) -> str:
        """Path and query as they go on the wire."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def prepare_get(kind: ServedKind, name: str, namespace: str) -> PreparedRequest:
    """GET one object."""
    return PreparedRequest("GET", object_path(kind, name, namespace), flow=namespace)


def prepare_list(
    kind: ServedKind, namespace: str, *, labels: str, fields: str, limit: int, continue_token: str = ""
) -> PreparedRequest:
    """GET a page; `limit=0` asks for everything at once."""
    query = _selectors(labels, fields)
    if limit:
        query["limit"] = str(limit)
    if continue_token:
        query["continue"] = continue_token
    return PreparedRequest("GET", collection_path(kind, narrow(kind, namespace, fields)), query, flow=namespace)


def prepare_watch(
    kind: ServedKind, namespace: str, *, labels: str, fields: str, resource_version: str, timeout_seconds: int
) -> PreparedRequest:
    """GET a stream of events after a version, with bookmarks so that a quiet watch can be resumed."""
    query = {
        **_selectors(labels, fields),
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(timeout_seconds),
    }
    return PreparedRequest("GET", collection_path(kind, narrow(kind, namespace, fields)), query, flow=namespace)


def prepare_create(kind: ServedKind, obj: Object, options: WriteOptions) -> PreparedRequest:
    """POST an object to its collection. Raises BadRequestError when a namespaced object names no namespace."""
    namespace = _namespace(kind, obj)
    path = collection_path(kind, namespace)
    return PreparedRequest("POST", path, _query(options), encode(obj), repeatable=False, flow=namespace)


def prepare_update(kind: ServedKind, obj: Object, options: WriteOptions) -> PreparedRequest:
    """PUT an object. Not repeatable: the first may have moved the version. Raises as `prepare_create`."""
    namespace = _namespace(kind, obj)
    path = object_path(kind, name_of(obj), namespace, options.subresource)
    return PreparedRequest("PUT", path, _query(options), encode(obj), repeatable=False, flow=namespace)


def prepare_patch(kind: ServedKind, name: str, namespace: str, patch: Patch, options: WriteOptions) -> PreparedRequest:
    """PATCH an object. Not repeatable: a JSON patch may add to a list."""
    path = object_path(kind, name, namespace, options.subresource)
    body = encode(patch.body)
    return PreparedRequest("PATCH", path, _query(options), body, str(patch.type), repeatable=False, flow=namespace)


def prepare_apply(kind: ServedKind, obj: Object, options: WriteOptions) -> PreparedRequest:
    """PATCH by server-side apply. Raises as `prepare_create`."""
    namespace = _namespace(kind, obj)
    path = object_path(kind, name_of(obj), namespace, options.subresource)
    query = {**_query(options), "force": "true" if options.force else "false"}
    return PreparedRequest("PATCH", path, query, encode(obj), APPLY, flow=namespace)


def prepare_delete(kind: ServedKind, name: str, namespace: str, options: DeleteOptions) -> PreparedRequest:
    """DELETE an object. Not repeatable: the second answer to one that worked would be NotFound."""
    body: dict[str, object] = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": str(options.propagation),
    }
    if options.grace_period_seconds is not None:
        body["gracePeriodSeconds"] = options.grace_period_seconds
    conditions = {"uid": options.uid, "resourceVersion": options.resource_version}
    preconditions = {key: value for key, value in conditions.items() if value}
    if preconditions:
        body["preconditions"] = preconditions
    if options.dry_run:
        body["dryRun"] = ["All"]
    path = object_path(kind, name, namespace)
    return PreparedRequest("DELETE", path, {}, encode(body), repeatable=False, flow=namespace)


def prepare_log(namespace: str, pod: str, container: str, **options: Unpack[LogOptions]) -> PreparedRequest:
    """GET what a container has written. Raises BadRequestError when a name is missing."""
    if not namespace or not pod or not container:
        raise BadRequestError("resource name may not be empty: a log is that of a container of a pod in a namespace")
    query = {"container": container}
    query |= {name: "true" for name in ("previous", "follow", "timestamps") if options.get(name)}
    tail, since = options.get("tail_lines"), options.get("since_seconds")
    if tail is not None:
        query["tailLines"] = str(tail)
    if since is not None:
        query["sinceSeconds"] = str(max(1, math.ceil(since)))  # whole seconds, and none is refused
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log"
    return PreparedRequest("GET", path, query, flow=namespace)


def narrow(kind: ServedKind, namespace: str, fields: str) -> str:
    """The namespace to ask in: a selector that names one is a request for that namespace.

    Not only cheaper: kube-apiserver (seen in 1.37.2) pages wrongly when `metadata.namespace=…` selects from all
    namespaces. Its continue token then leaves the namespace out, and the second page begins in another one.
    """
    if namespace or not kind.namespaced:
        return namespace
    named = [part.partition("=")[2].lstrip("=") for part in fields.split(",") if part.startswith("metadata.namespace=")]
    return named[0] if len(named) == 1 else ""


def collection_path(kind: ServedKind, namespace: str) -> str:
    """`/apis/apps/v1/namespaces/dev/deployments`; without a namespace those of all."""
    if kind.namespaced and namespace:
        return f"{kind.root}/namespaces/{quote(namespace, safe='')}/{kind.plural}"
    return f"{kind.root}/{kind.plural}"


def object_path(kind: ServedKind, name: str, namespace: str, subresource: str = "") -> str:
    """The path of one object. Raises BadRequestError when the name or a namespace is missing."""
    if not name:
        raise BadRequestError(f"resource name may not be empty: a {kind.gvk.kind} is asked for without one")
    if kind.namespaced and not namespace:
        raise BadRequestError(f"an empty namespace may not be set for {kind.group_resource}")
    path = f"{collection_path(kind, namespace)}/{quote(name, safe='')}"
    return f"{path}/{subresource}" if subresource else path


def encode(body: object) -> bytes:
    """JSON. Raises BadRequestError for what JSON cannot say."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise BadRequestError(f"the object cannot be sent as JSON: {error}") from error


def _namespace(kind: ServedKind, obj: Object) -> str:
    namespace = namespace_of(obj)
    if kind.namespaced and not namespace:
        raise BadRequestError("an empty namespace may not be set during creation")
    if not kind.namespaced and namespace:
        raise BadRequestError(f"namespace may not be set on {kind.group_resource}, which are cluster-scoped")
    return namespace


def _query(options: WriteOptions) -> dict[str, str]:
    query = {"fieldManager": options.field_manager, "fieldValidation": str(options.field_validation)}
    if options.dry_run:
        query["dryRun"] = "All"
    return query


def _selectors(labels: str, fields: str) -> dict[str, str]:
    query = {"labelSelector": labels, "fieldSelector": fields}
    return {key: value for key, value in query.items() if value}
