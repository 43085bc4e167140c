"""What the server itself decides about a new or changed object, before it is validated.

Rules of upstream:
 * content needs a namespace that exists and is not going away;
 * a Namespace carries its own name as a label and the finalizer of its content;
 * a Service gets a cluster IP unless it is headless or an external name, and keeps it for life;
 * a Job selects its pods by its own uid;
 * a pod begins as Pending, under the service account `default`.
"""

from typing import Any, NoReturn

from towpath.cluster.kernel import refusals
from towpath.cluster.kernel.addresses import AddressRange
from towpath.cluster.kernel.kinds import STATUS_AT_CREATION, get_resource, has_status
from towpath.cluster.kernel.namespaces import FINALIZER, namespace_key
from towpath.cluster.kernel.store import Store
from towpath.kube.objects import (
    GVK,
    Object,
    ObjectKey,
    find_path,
    labels_of,
    metadata_of,
    name_of,
    namespace_of,
    uid_of,
)
from towpath.kube.resources import Resource

SERVICES = ObjectKey("", "Service", "", "")
INITIAL_STATUS: dict[str, dict[str, Any]] = {
    "Namespace": {"phase": "Active"},
    "Pod": {"phase": "Pending"},
    "ReplicaSet": {"replicas": 0},
    "Service": {"loadBalancer": {}},
    "StatefulSet": {"availableReplicas": 0, "replicas": 0},
}


class Admission:
    """Completes objects on their way into the store."""

    def __init__(self, store: Store, addresses: AddressRange) -> None:
        self._store = store
        self._addresses = addresses

    def prepare_creation(self, resource: Resource, new: Object) -> None:
        """Complete a new object. Raises ApiNotFoundError or ForbiddenError for its namespace, InvalidError."""
        if resource.namespaced:
            self._check_namespace(resource, name_of(new), namespace_of(new))
        kind = resource.gvk.kind
        if has_status(resource) and (resource.gvk.group, kind) not in STATUS_AT_CREATION:
            new["status"] = dict(INITIAL_STATUS.get(kind, {}))
        if kind == "Namespace":
            new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(new)
            new.setdefault("spec", {}).setdefault("finalizers", [FINALIZER])
        elif kind == "Service":
            self._assign_address(new)
        elif kind == "Job":
            _select_by_uid(new)
        elif kind == "StatefulSet":
            _spell_service_name(new)
        elif kind == "Pod":
            _name_account(new)

    def prepare_update(self, resource: Resource, *, live: Object, new: Object) -> None:
        """Keep what the server has assigned when the client leaves it out."""
        kind = resource.gvk.kind
        if kind == "Service" and isinstance(new.get("spec"), dict):
            self._keep_address(live=live, new=new)
        elif kind == "StatefulSet":
            _spell_service_name(new)
        elif kind == "Job" and labels_of(new):
            new["metadata"]["labels"] = dict(labels_of(new))  # shared with the template no longer than this
        elif kind == "Namespace":
            new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(new)
            # The finalizer of the content is taken away by the kernel alone.
            new.setdefault("spec", {})["finalizers"] = list(find_path(live, "spec", "finalizers") or [])

    def _check_namespace(self, resource: Resource, name: str, namespace: str) -> None:
        record = self._store.find(namespace_key(namespace))
        if record is None:
            raise refusals.not_found(get_resource(GVK("", "v1", "Namespace")), namespace)
        if metadata_of(record.parse()).get("deletionTimestamp"):
            raise refusals.terminating(resource, name, namespace)

    def _assign_address(self, service: Object) -> None:
        spec = service.setdefault("spec", {})
        if spec.get("type") == "ExternalName":
            return
        wanted = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or []), "")
        if not wanted:
            address = self._addresses.find_free(
                namespace_of(service), name_of(service), taken=self._taken(uid_of(service))
            )
            if address is None:
                message = f"Internal error: failed to allocate a serviceIP: range {self._addresses} is full"
                self._refuse(service, "spec.clusterIPs", message)
            wanted = address
        elif wanted != "None":
            self._check_address(service, wanted)
        spec["clusterIP"] = wanted
        spec["clusterIPs"] = [wanted]
        # A headless Service that selects nothing may have endpoints of any family.
        free = wanted == "None" and not spec.get("selector")
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"] if free else ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack" if free else "SingleStack")
        self._check_families(service)

    def _check_address(self, service: Object, wanted: str) -> None:
        shown = f'Invalid value: []string{{"{wanted}"}}: failed to allocate IP {wanted}: '
        if wanted not in self._addresses:
            self._refuse(
                service, "spec.clusterIPs", f"{shown}the provided IP is not in the valid range {self._addresses}"
            )
        if wanted in self._taken(uid_of(service)):
            self._refuse(service, "spec.clusterIPs", f"{shown}provided IP is already allocated")

    def _keep_address(self, *, live: Object, new: Object) -> None:
        spec: dict[str, Any] = new["spec"]
        if spec.get("type") == "ExternalName":
            if find_path(live, "spec", "type") != "ExternalName":
                spec.pop("clusterIP", None)
                spec.pop("clusterIPs", None)
            return
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(field) and find_path(live, "spec", field):
                spec[field] = find_path(live, "spec", field)
        if not spec.get("clusterIP"):
            self._assign_address(new)
        self._check_families(new)

    def _check_families(self, service: Object) -> None:
        spec = service["spec"]
        free = spec.get("clusterIP") == "None" and not spec.get("selector")
        if spec.get("ipFamilyPolicy") == "RequireDualStack" and not free:
            text = 'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services'
            self._refuse(service, "spec.ipFamilyPolicy", text)

    def _taken(self, but_uid: str) -> set[str]:
        services = [record.parse() for record in self._store.records(SERVICES) if record.uid != but_uid]
        return {find_path(service, "spec", "clusterIP") or "" for service in services}

    def _refuse(self, service: Object, field: str, message: str) -> NoReturn:
        raise refusals.invalid(GVK("", "v1", "Service"), name_of(service), [refusals.cause(field, message)])


def _select_by_uid(job: Object) -> None:
    spec = job.setdefault("spec", {})
    if spec.get("manualSelector"):
        return
    labels = {"batch.kubernetes.io/controller-uid": uid_of(job), "batch.kubernetes.io/job-name": name_of(job)}
    legacy = {"controller-uid": uid_of(job), "job-name": name_of(job)}
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    given = template.get("labels") or {}
    template["labels"] = {**given, **labels, **legacy}
    metadata = job.setdefault("metadata", {})
    # A Job without labels of its own shares its template's (a default), so it gets these too.
    if not metadata.get("labels") or metadata["labels"] is given:
        metadata["labels"] = dict(template["labels"])
    spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid_of(job)}})


def _spell_service_name(stateful_set: Object) -> None:
    # Upstream writes this field even if nobody has set it, and then nobody owns it.
    if isinstance(spec := stateful_set.get("spec"), dict):
        spec.setdefault("serviceName", "")


def _name_account(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account
