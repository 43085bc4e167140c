"""What an object of a kind looks like before anyone wrote it.

Go's zero value already has its structs (`metadata`, `spec`, a pod template's `spec.containers: null`), so creating an
object adds what is in them and not the structs themselves. Ownership of a created object is computed against this.
"""

from typing import Any

from towpath.kube.objects import GVK, Object

_TEMPLATE: dict[str, Any] = {"metadata": {}, "spec": {"containers": None}}
_ZERO: dict[str, dict[str, Any]] = {
    "ConfigMap": {},
    "Secret": {},
    "ServiceAccount": {},
    "ControllerRevision": {"revision": 0},
    "Namespace": {"spec": {}, "status": {}},
    "Node": {"spec": {}, "status": {}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Event": {"involvedObject": {}, "source": {}, "reportingComponent": "", "reportingInstance": ""},
    "Deployment": {"spec": {"selector": None, "strategy": {}, "template": _TEMPLATE}, "status": {}},
    "ReplicaSet": {"spec": {"selector": None, "template": _TEMPLATE}, "status": {}},
    "StatefulSet": {"spec": {"selector": None, "template": _TEMPLATE, "updateStrategy": {}}, "status": {}},
    "Job": {"spec": {"template": _TEMPLATE}, "status": {}},
    "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
    "Role": {"rules": None},
    "RoleBinding": {"roleRef": {"apiGroup": "", "kind": "", "name": ""}},
}


def zero_object(gvk: GVK) -> Object:
    """The zero value of a kind. Read-only: it shares structure."""
    return {"apiVersion": gvk.api_version, "kind": gvk.kind, "metadata": {}, **_ZERO.get(gvk.kind, {})}
