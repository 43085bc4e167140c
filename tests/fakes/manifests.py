"""Small Kubernetes objects for tests, and the write options that go with them."""

from typing import Any

from towpath.kube.objects import GVK, Object, uid_of
from towpath.kube.requests import FieldValidation, WriteOptions

CONFIG_MAP = GVK("", "v1", "ConfigMap")
DEPLOYMENT = GVK("apps", "v1", "Deployment")
EVENT = GVK("", "v1", "Event")
JOB = GVK("batch", "v1", "Job")
NAMESPACE = GVK("", "v1", "Namespace")
POD = GVK("", "v1", "Pod")
SERVICE = GVK("", "v1", "Service")
SERVICE_ACCOUNT = GVK("", "v1", "ServiceAccount")


def options(
    manager: str = "test",
    *,
    dry_run: bool = False,
    force: bool = False,
    subresource: str = "",
    validation: FieldValidation = FieldValidation.STRICT,
) -> WriteOptions:
    """Write options in few words."""
    return WriteOptions(
        field_manager=manager,
        dry_run=dry_run,
        force=force,
        subresource=subresource,
        field_validation=validation,
    )


def config_map(name: str, data: dict[str, str] | None = None, *, namespace: str = "default", **metadata: Any) -> Object:
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": data or {},
    }


def namespace(name: str) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def pod(name: str, *, node: str = "", grace_seconds: int = 30, **metadata: Any) -> Object:
    """A pod with one container, bound to `node` if given."""
    spec: dict[str, Any] = {
        "containers": [{"name": "main", "image": "registry.test/main:1"}],
        "terminationGracePeriodSeconds": grace_seconds,
    }
    if node:
        spec["nodeName"] = node
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": spec,
    }


def deployment(name: str, *, replicas: int = 1) -> Object:
    """A Deployment with one container."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "registry.test/main:1"}]},
            },
        },
    }


def service(name: str, *, namespace: str = "default", **spec: Any) -> Object:
    """A Service on port 80."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"port": 80}], **spec},
    }


def event(name: str) -> Object:
    """An Event about nothing in particular."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "sensor-0"},
        "reason": "Started",
        "message": "Started container main",
        "type": "Normal",
    }


def owned_by(*owners: Object, blocks: bool = False) -> list[dict[str, Any]]:
    """The ownerReferences of a dependent."""
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": uid_of(owner),
            "blockOwnerDeletion": blocks,
        }
        for owner in owners
    ]
