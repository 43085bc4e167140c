"""May this user do that? Role-based access control with Roles and RoleBindings; the administrator may do all."""

from towpath.cluster.client import EmbeddedClient
from towpath.cluster.facade.authentication import User
from towpath.cluster.facade.paths import ResourceRequest
from towpath.kube.errors import ForbiddenError
from towpath.kube.objects import GVK, Object, find_path, name_of
from towpath.kube.rbac import allows

ROLE = GVK("rbac.authorization.k8s.io", "v1", "Role")
ROLE_BINDING = GVK("rbac.authorization.k8s.io", "v1", "RoleBinding")


class Authorizer:
    """Judges requests by the Roles of the namespace they go to."""

    def __init__(self, client: EmbeddedClient) -> None:
        self._client = client

    async def require(self, user: User, request: ResourceRequest) -> None:
        """Raises ForbiddenError, in upstream's words, unless the user may do it."""
        if user.is_admin or (request.namespace and await self._is_allowed(user, request)):
            return
        resource = request.resource
        plural = f"{resource.plural}/{request.subresource}" if request.subresource else resource.plural
        subject = (
            f'{resource.group_resource} "{request.name}" is forbidden'
            if request.name
            else (f"{resource.group_resource} is forbidden")
        )
        scope = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
        raise ForbiddenError(
            f'{subject}: User "{user.name}" cannot {request.verb} resource "{plural}" in API group '
            f'"{resource.gvk.group}" {scope}'
        )

    async def _is_allowed(self, user: User, request: ResourceRequest) -> bool:
        bindings = await self._client.list(ROLE_BINDING, request.namespace)
        roles = {name_of(role): role for role in (await self._client.list(ROLE, request.namespace)).items}
        for binding in bindings.items:
            role = roles.get(str(find_path(binding, "roleRef", "name")))
            if role is None or not _binds(binding, user, request.namespace):
                continue
            gvk = request.resource.gvk
            if allows(
                role.get("rules") or [],
                request.verb,
                gvk.group,
                request.resource.plural,
                request.name,
                request.subresource,
            ):
                return True
        return False


def _binds(binding: Object, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or []:
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "ServiceAccount":
            if user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}":
                return True
        elif (kind == "User" and name == user.name) or (kind == "Group" and name in user.groups):
            return True
    return False
