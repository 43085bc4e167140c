"""What the kernel must know of a kind beyond its name: where it lives, what is counted, who owns its status."""

from towpath.cluster.kernel.refusals import unknown_kind
from towpath.kube.errors import ApiNotFoundError, BadRequestError
from towpath.kube.objects import GVK, Object, ObjectKey, namespace_of
from towpath.kube.resources import Resource, find_resource

# Kinds whose `metadata.generation` counts changes of what is wanted.
COUNTED = frozenset(
    {
        ("", "Pod"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
        ("discovery.k8s.io", "EndpointSlice"),
    }
)

# A kubelet registers its Node with a status, and upstream keeps it.
STATUS_AT_CREATION = frozenset({("", "Node")})


# Kinds that a replacement creates where there is nothing to replace (upstream's AllowCreateOnUpdate).
CREATED_BY_UPDATE = frozenset(
    {
        ("", "Event"),
        ("", "Service"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
    }
)


def get_resource(gvk: GVK) -> Resource:
    """The resource of a kind. Raises ApiNotFoundError when it is not served."""
    resource = find_resource(gvk)
    if resource is None:
        raise unknown_kind(gvk)
    return resource


def is_counted(resource: Resource) -> bool:
    """Whether objects of this resource have a generation."""
    return (resource.gvk.group, resource.gvk.kind) in COUNTED


def has_status(resource: Resource) -> bool:
    """Whether status is written through a subresource of its own."""
    return "status" in resource.subresources


def require_subresource(resource: Resource, subresource: str) -> None:
    """Raises ApiNotFoundError when objects of this resource do not have the subresource."""
    if subresource and subresource not in resource.subresources:
        raise ApiNotFoundError("the server could not find the requested resource")


def key_for(resource: Resource, name: str, namespace: str) -> ObjectKey:
    """The key of an object of this resource. Raises BadRequestError when the namespace does not fit the scope."""
    if resource.namespaced and not namespace:
        raise BadRequestError(f"an empty namespace may not be set for {resource.group_resource}")
    return ObjectKey(resource.gvk.group, resource.gvk.kind, namespace if resource.namespaced else "", name)


def namespace_for(resource: Resource, obj: Object) -> str:
    """The namespace an object belongs in. Raises BadRequestError when it names none, or one it cannot have."""
    namespace = namespace_of(obj)
    if resource.namespaced and not namespace:
        raise BadRequestError("an empty namespace may not be set during creation")
    if not resource.namespaced and namespace:
        raise BadRequestError(f"namespace may not be set on {resource.group_resource}, which are cluster-scoped")
    return namespace
