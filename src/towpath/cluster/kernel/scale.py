"""The `scale` subresource: how many replicas a workload wants and has, in one shape for every kind that scales."""

from typing import Any

from towpath.cluster.kernel import refusals
from towpath.cluster.kernel.refusals import cause
from towpath.kube.errors import BadRequestError
from towpath.kube.objects import GVK, Object, find_path, metadata_of, name_of, resource_version_of

SCALE = GVK("autoscaling", "v1", "Scale")
METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object) -> Object:
    """The Scale of a Deployment, ReplicaSet or StatefulSet."""
    metadata = {field: metadata_of(obj)[field] for field in METADATA if field in metadata_of(obj)}
    status: dict[str, Any] = {"replicas": find_path(obj, "status", "replicas") or 0}
    selector = _selector_text(find_path(obj, "spec", "selector") or {})
    if selector:
        status["selector"] = selector
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": metadata,
        "spec": {"replicas": find_path(obj, "spec", "replicas") or 0},
        "status": status,
    }


def scaled(obj: Object, scale: Object) -> Object:
    """The object with the replicas of a Scale, under the Scale's optimistic lock.

    Raises:
        BadRequestError: it is not a Scale.
        InvalidError: the number of replicas is not one.
    """
    if (scale.get("apiVersion"), scale.get("kind")) != (SCALE.api_version, SCALE.kind):
        raise BadRequestError(f"expected {SCALE}, got {scale.get('apiVersion')} {scale.get('kind')}")
    replicas = find_path(scale, "spec", "replicas") or 0
    if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise refusals.invalid(SCALE, name_of(obj), [cause("spec.replicas", message)])
    metadata = dict(metadata_of(obj))
    metadata["resourceVersion"] = resource_version_of(scale) or resource_version_of(obj)
    return {**obj, "metadata": metadata, "spec": {**obj.get("spec", {}), "replicas": replicas}}


def _selector_text(selector: dict[str, Any]) -> str:
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for item in selector.get("matchExpressions") or []:
        key, values = item.get("key", ""), ",".join(sorted(item.get("values") or []))
        text = {"Exists": key, "DoesNotExist": f"!{key}", "In": f"{key} in ({values})"}
        parts.append(text.get(item.get("operator", ""), f"{key} notin ({values})"))
    return ",".join(parts)
