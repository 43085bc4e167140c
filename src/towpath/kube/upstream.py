"""How upstream's own kinds are addressed: plural and scope, whether the embedded cluster serves them or not.

Stable kinds only. A custom resource's plural and scope stand in its definition; where that is not at hand,
`guess_plural` does what most authors do. Pure; `kube.resources` says more of the kinds that
the embedded cluster serves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Address:
    """A kind's name in paths and in rules of RBAC, and whether its objects are in namespaces."""

    plural: str
    namespaced: bool = True


_NAMESPACED = """
: ConfigMap Endpoints Event LimitRange PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret
: Service ServiceAccount
apps: ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet
autoscaling: HorizontalPodAutoscaler
batch: CronJob Job
coordination.k8s.io: Lease
discovery.k8s.io: EndpointSlice
events.k8s.io: Event
networking.k8s.io: Ingress NetworkPolicy
policy: PodDisruptionBudget
rbac.authorization.k8s.io: Role RoleBinding
storage.k8s.io: CSIStorageCapacity
"""
_OF_THE_CLUSTER = """
: Namespace Node PersistentVolume
admissionregistration.k8s.io: MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
admissionregistration.k8s.io: ValidatingWebhookConfiguration
apiextensions.k8s.io: CustomResourceDefinition
apiregistration.k8s.io: APIService
certificates.k8s.io: CertificateSigningRequest
flowcontrol.apiserver.k8s.io: FlowSchema PriorityLevelConfiguration
networking.k8s.io: IngressClass IPAddress ServiceCIDR
node.k8s.io: RuntimeClass
rbac.authorization.k8s.io: ClusterRole ClusterRoleBinding
scheduling.k8s.io: PriorityClass
storage.k8s.io: CSIDriver CSINode StorageClass VolumeAttachment
"""
_AS_THEY_ARE = frozenset({"Endpoints"})


def guess_plural(kind: str) -> str:
    """The usual plural: `Ingress` -> `ingresses`, `NetworkPolicy` -> `networkpolicies`, `Pod` -> `pods`."""
    name = kind.lower()
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"


def _parse(table: str, *, namespaced: bool) -> dict[tuple[str, str], Address]:
    found = {}
    for line in table.strip().splitlines():
        group, _, kinds = line.partition(":")
        for kind in kinds.split():
            plural = kind.lower() if kind in _AS_THEY_ARE else guess_plural(kind)
            found[group, kind] = Address(plural, namespaced)
    return found


_BY_KIND: Mapping[tuple[str, str], Address] = MappingProxyType(
    _parse(_NAMESPACED, namespaced=True) | _parse(_OF_THE_CLUSTER, namespaced=False)
)


def find_address(group: str, kind: str) -> Address | None:
    """How a kind of upstream's is addressed; None for every other."""
    return _BY_KIND.get((group, kind))
