"""Which rules hold for which kind."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from towpath.kube.objects import Object, gvk_of
from towpath.kube.validation.causes import Cause, Causes
from towpath.kube.validation.jobs import validate_job
from towpath.kube.validation.metadata import validate_metadata
from towpath.kube.validation.pods import validate_pod
from towpath.kube.validation.records import (
    validate_config_map,
    validate_event,
    validate_role,
    validate_role_binding,
    validate_secret,
)
from towpath.kube.validation.services import validate_endpoint_slice, validate_service
from towpath.kube.validation.workloads import (
    validate_deployment,
    validate_replica_set,
    validate_stateful_set,
)

Rule: TypeAlias = Callable[[Object, Object | None, Causes], None]


def validate(obj: Object, *, old: Object | None) -> list[Cause]:
    """The causes of a 422: `{"reason", "message", "field"}` each; empty if the object is valid.

    `old` is what is stored, or None for a create: it decides which fields may still change.
    """
    causes = Causes()
    validate_metadata(obj, causes)
    gvk = gvk_of(obj)
    rule = _RULES.get((gvk.group, gvk.kind))
    if rule is not None:
        rule(obj, old, causes)
    return causes.found


_RULES: Mapping[tuple[str, str], Rule] = MappingProxyType(
    {
        ("", "ConfigMap"): validate_config_map,
        ("", "Secret"): validate_secret,
        ("", "Service"): validate_service,
        ("", "Pod"): validate_pod,
        ("", "Event"): validate_event,
        ("apps", "Deployment"): validate_deployment,
        ("apps", "ReplicaSet"): validate_replica_set,
        ("apps", "StatefulSet"): validate_stateful_set,
        ("batch", "Job"): validate_job,
        ("discovery.k8s.io", "EndpointSlice"): validate_endpoint_slice,
        ("rbac.authorization.k8s.io", "Role"): validate_role,
        ("rbac.authorization.k8s.io", "RoleBinding"): validate_role_binding,
    }
)
