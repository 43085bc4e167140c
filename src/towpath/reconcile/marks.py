"""The marks on objects: ours, and those of other controllers whose objects are left alone.

Ours are one label (the environment: what watches select) and two annotations: a tracking id that names the object
itself, so that a copy of a managed object is not taken for one, and a hash of what was applied, so that a difference
can be told apart: Git changed, or somebody changed the live object. Pure.
"""

import copy
import hashlib
import json

from towpath.kube.objects import (
    Object,
    ObjectKey,
    annotations_of,
    controller_of,
    key_of,
    labels_of,
)

FIELD_MANAGER = "towpath"
ENVIRONMENT_LABEL = "towpath.dev/environment"
TRACKING_ANNOTATION = "towpath.dev/tracking-id"
APPLIED_ANNOTATION = "towpath.dev/applied-hash"
WAVE_ANNOTATIONS = ("towpath.dev/wave", "argocd.argoproj.io/sync-wave")

_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_ARGO_OPTIONS = "argocd.argoproj.io/sync-options"
_FLUX_OWNERS = ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io")
_HELM_RELEASE = "meta.helm.sh/release-name"
_HELM_MANAGED = "app.kubernetes.io/managed-by"
_DISABLED = "disabled"
_PRUNE_OPT_OUTS = ("towpath.dev/prune", "kustomize.toolkit.fluxcd.io/prune")
_RECONCILE_OPT_OUTS = ("towpath.dev/reconcile", "kustomize.toolkit.fluxcd.io/reconcile")
# 16 hexadecimal digits: enough to notice a change, short enough to read.
_HASH_LENGTH = 16


def format_tracking_id(application: str, key: ObjectKey) -> str:
    """`home/dev:apps/StatefulSet:dev/sensor`."""
    return f"{application}:{key.group}/{key.kind}:{key.namespace}/{key.name}"


def applied_hash(obj: Object) -> str:
    """A hash of the desired object as rendered, without our own marks."""
    canonical = json.dumps(obj, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_LENGTH]


def mark(obj: Object, *, application: str, environment: str) -> Object:
    """A copy of a rendered object with our label and annotations."""
    marked = copy.deepcopy(obj)
    metadata = marked.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), ENVIRONMENT_LABEL: environment}
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        TRACKING_ANNOTATION: format_tracking_id(application, key_of(obj)),
        APPLIED_ANNOTATION: applied_hash(obj),
    }
    return marked


def is_tracked(live: Object, application: str) -> bool:
    """Whether `application` has applied this very object."""
    return annotations_of(live).get(TRACKING_ANNOTATION) == format_tracking_id(application, key_of(live))


def has_applied(live: Object, desired: Object) -> bool:
    """Whether what was last applied to `live` is `desired` (marked): any difference between them is drift."""
    return annotations_of(live).get(APPLIED_ANNOTATION) == annotations_of(desired).get(APPLIED_ANNOTATION)


def find_other_owner(live: Object, application: str) -> str | None:
    """Who else manages this object, in words; None if nobody does."""
    key = key_of(live)
    annotations, labels = annotations_of(live), labels_of(live)
    owner, separator, rest = annotations.get(TRACKING_ANNOTATION, "").partition(":")
    if separator and owner != application and f"{owner}:{rest}" == format_tracking_id(owner, key):
        return f"Towpath application {owner}"
    owner, separator, rest = annotations.get(_ARGO_TRACKING, "").partition(":")
    if separator and f"{owner}:{rest}" == format_tracking_id(owner, key):
        return f"Argo CD application {owner}"
    for group in _FLUX_OWNERS:
        if f"{group}/name" in labels:
            return f"Flux {labels.get(f'{group}/namespace', '')}/{labels[f'{group}/name']}"
    if labels.get(_HELM_MANAGED) == "Helm" and _HELM_RELEASE in annotations:
        return f"Helm release {annotations[_HELM_RELEASE]}"
    controller = controller_of(live)
    return f"{controller.kind} {controller.name}" if controller else None


def opts_out_of_reconcile(*objects: Object | None) -> bool:
    """Whether one of these (desired, live) asks to be left alone."""
    return any(
        obj is not None and (annotations_of(obj).get(name) or labels_of(obj).get(name)) == _DISABLED
        for obj in objects
        for name in _RECONCILE_OPT_OUTS
    )


def opts_out_of_prune(live: Object) -> bool:
    """Whether the object asks to be kept when Git no longer names it."""
    annotations = annotations_of(live)
    options = [option.strip() for option in annotations.get(_ARGO_OPTIONS, "").split(",")]
    return "Prune=false" in options or any(
        (annotations.get(name) or labels_of(live).get(name)) == _DISABLED for name in _PRUNE_OPT_OUTS
    )


def wave_of(obj: Object) -> int:
    """The wave an object is applied in; 0 without an annotation, or with one that is no number."""
    for name in WAVE_ANNOTATIONS:
        text = str(annotations_of(obj).get(name, ""))
        if text.removeprefix("-").isdecimal():
            return int(text)
    return 0
