"""Rules for pod specs and pods."""

from typing import Any, TypeAlias

from towpath.kube.objects import Object, clone
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.containers import validate_containers
from towpath.kube.validation.metadata import validate_annotations, validate_labels
from towpath.kube.validation.names import label_faults, subdomain_faults
from towpath.kube.validation.support import refuse_unsupported
from towpath.kube.validation.volumes import validate_volumes

Fields: TypeAlias = dict[str, Any]

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod(pod: Object, old: Object | None, causes: Causes) -> None:
    """Check a pod. An update may change images and deadlines, and name the node once."""
    if old is None:
        validate_pod_spec(pod.get("spec") or {}, "spec", causes)
    elif _frozen_part(pod) != _frozen_part(old):
        causes.forbidden("spec", _FROZEN)
    else:
        bound, wanted = (old.get("spec") or {}).get("nodeName"), (pod.get("spec") or {}).get("nodeName")
        if bound and wanted != bound:
            causes.forbidden("spec", _FROZEN)


def validate_template(
    template: Fields, field: str, causes: Causes, restart_policies: tuple[str, ...] = ("Always",)
) -> None:
    """Check a pod template. Only Jobs have pods that are not always restarted."""
    metadata = template.get("metadata") or {}
    validate_labels(metadata.get("labels"), f"{field}.metadata.labels", causes)
    validate_annotations(metadata.get("annotations"), f"{field}.metadata.annotations", causes)
    spec = template.get("spec") or {}
    validate_pod_spec(spec, f"{field}.spec", causes)
    policy = spec.get("restartPolicy", "Always")
    if policy in _RESTART_POLICIES:
        causes.one_of(f"{field}.spec.restartPolicy", policy, restart_policies)


def validate_pod_spec(spec: Fields, field: str, causes: Causes) -> None:
    """Check the spec of a pod or a template."""
    volumes = validate_volumes(spec.get("volumes") or [], f"{field}.volumes", causes)
    validate_containers(spec, field, volumes, causes)
    causes.one_of(f"{field}.restartPolicy", spec.get("restartPolicy", "Always"), _RESTART_POLICIES)
    causes.one_of(f"{field}.dnsPolicy", spec.get("dnsPolicy", "ClusterFirst"), _DNS_POLICIES)
    causes.at_least(f"{field}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds"))
    causes.at_least(f"{field}.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), 1)
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            causes.check(f"{field}.{name}", spec[name], label_faults(spec[name]))
    for name in ("serviceAccountName", "nodeName"):
        if spec.get(name):
            causes.check(f"{field}.{name}", spec[name], subdomain_faults(spec[name]))
    validate_labels(spec.get("nodeSelector"), f"{field}.nodeSelector", causes)
    for user in ("runAsUser", "runAsGroup", "fsGroup"):
        causes.at_least(f"{field}.securityContext.{user}", (spec.get("securityContext") or {}).get(user))
    refuse_unsupported(spec, field, causes)


def _frozen_part(pod: Object) -> Fields:
    """What of a pod's spec an update may not change."""
    spec: Fields = clone(pod.get("spec") or {})
    for group in ("containers", "initContainers"):
        for container in spec.get(group) or []:
            container.pop("image", None)
            container.pop("imagePullPolicy", None)
    for name in (
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "nodeName",
        "schedulingGates",
    ):
        spec.pop(name, None)
    return spec
