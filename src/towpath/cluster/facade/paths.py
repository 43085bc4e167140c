"""From an HTTP method and path to what is asked: the rules of Kubernetes' API conventions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from towpath.kube.errors import ApiNotFoundError, MethodNotAllowedError
from towpath.kube.resources import Resource, find_plural

_COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT_VERBS = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """A request for a resource. `verb` is an RBAC verb; `name` is empty for collections."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str = ""


def parse_request(method: str, path: str, query: Mapping[str, str]) -> ResourceRequest:
    """What `method path?query` asks for.

    Raises:
        ApiNotFoundError: the server does not know the path.
        MethodNotAllowedError: the resource does not support the method.
    """
    resource, namespace, rest = _resource(path)
    name = rest[0] if rest else ""
    subresource = rest[1] if len(rest) > 1 else ""
    if len(rest) > 2 or (subresource and subresource not in resource.subresources):
        raise _unknown()
    verbs = _OBJECT_VERBS if name else _COLLECTION_VERBS
    verb = verbs.get(method)
    if verb is None or (verb == "create" and resource.namespaced and not namespace):
        raise MethodNotAllowedError(f"the server does not allow this method on the requested resource: {method} {path}")
    if verb == "list" and query.get("watch", "").lower() in {"true", "1"}:
        verb = "watch"
    return ResourceRequest(verb, resource, namespace, name, subresource)


def _resource(path: str) -> tuple[Resource, str, list[str]]:
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise _unknown()
    namespace = ""
    # /namespaces/NAME and its subresources are the namespace itself; anything else behind it is something inside.
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    resource = find_plural(group, version, rest[0])
    if resource is None or (namespace and not resource.namespaced):
        raise _unknown()
    if resource.namespaced and not namespace and len(rest) > 1:
        raise _unknown()  # an object in a namespace, asked for without one
    return resource, namespace, rest[1:]


def _unknown() -> ApiNotFoundError:
    return ApiNotFoundError("the server could not find the requested resource")
