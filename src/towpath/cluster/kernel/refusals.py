"""What the kernel says when it refuses, in upstream's words: clients match on reason, people search for the text."""

from collections.abc import Sequence

from towpath.kube.errors import (
    AlreadyExistsError,
    ApiConflictError,
    ApiNotFoundError,
    ForbiddenError,
    InvalidError,
)
from towpath.kube.objects import GVK
from towpath.kube.resources import Resource

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def _details(resource: Resource, name: str) -> dict[str, str]:
    group = {"group": resource.gvk.group} if resource.gvk.group else {}
    return {"name": name, **group, "kind": resource.plural}


def unknown_kind(gvk: GVK) -> ApiNotFoundError:
    """The kind is not served."""
    return ApiNotFoundError(
        f'no matches for kind "{gvk.kind}" in version "{gvk.api_version}": '
        "the server could not find the requested resource"
    )


def not_found(resource: Resource, name: str) -> ApiNotFoundError:
    """No such object."""
    return ApiNotFoundError(f'{resource.group_resource} "{name}" not found', details=_details(resource, name))


def already_exists(resource: Resource, name: str, *, deleting: bool = False) -> AlreadyExistsError:
    """The name is taken; `deleting`: by an object on its way out."""
    opening = "object is being deleted: " if deleting else ""
    message = f'{opening}{resource.group_resource} "{name}" already exists'
    return AlreadyExistsError(message, details=_details(resource, name))


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiConflictError:
    """The optimistic lock or a precondition failed."""
    return ApiConflictError(
        f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}', details=_details(resource, name)
    )


def precondition_failed(resource: Resource, name: str, *, field: str, wanted: str, found: str) -> ApiConflictError:
    """A uid or resourceVersion precondition failed."""
    why = f"Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {found}"
    return conflict(resource, name, why)


def deletion_refused(resource: Resource, name: str, *, field: str, wanted: str, found: str) -> ApiConflictError:
    """A precondition of a deletion failed; upstream names the kind here where it names the resource elsewhere."""
    gvk = resource.gvk
    kind = f"{gvk.kind}.{gvk.group}" if gvk.group else gvk.kind
    likely = "deleted and then recreated" if field == "UID" else "modified"
    group = {"group": gvk.group} if gvk.group else {}
    return ApiConflictError(
        f'Operation cannot be fulfilled on {kind} "{name}": the {field} in the precondition ({wanted}) does not match'
        f" the {field} in record ({found}). The object might have been {likely}",
        details={"name": name, **group, "kind": gvk.kind},
    )


def invalid(gvk: GVK, name: str, causes: Sequence[dict[str, str]]) -> InvalidError:
    """The object breaks rules; each cause is `{reason, message, field}`."""
    kind = f"{gvk.kind}.{gvk.group}" if gvk.group else gvk.kind
    messages = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
    group = {"group": gvk.group} if gvk.group else {}
    details = {"name": name, **group, "kind": gvk.kind}
    return InvalidError(f'{kind} "{name}" is invalid: {text}', causes=list(causes), details=details)


def cause(field: str, message: str, reason: str = "FieldValueInvalid") -> dict[str, str]:
    """One cause of `invalid`."""
    return {"reason": reason, "message": message, "field": field}


def terminating(resource: Resource, name: str, namespace: str) -> ForbiddenError:
    """Nothing new in a namespace that is going away."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    reason = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return ForbiddenError(
        f'{resource.group_resource} "{name}" is forbidden: {why}', causes=[reason], details=_details(resource, name)
    )


def forbidden(resource: Resource, name: str, why: str) -> ForbiddenError:
    """Not allowed, whoever asks."""
    return ForbiddenError(f'{resource.group_resource} "{name}" is forbidden: {why}', details=_details(resource, name))
