"""Rules for Deployments, ReplicaSets and StatefulSets; those for Jobs are in `jobs`."""

import re
from typing import Any, TypeAlias

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object
from towpath.kube.selectors import LabelSelector
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.metadata import validate_immutable, validate_selector
from towpath.kube.validation.pods import validate_template

Fields: TypeAlias = dict[str, Any]

_PERCENT = re.compile(r"\d+%")
# For life; upstream says so of each by itself since 1.37.
_STATEFUL_IMMUTABLE = ("selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy")


def validate_deployment(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a Deployment; its selector is for life."""
    spec = obj.get("spec") or {}
    _validate_selected(spec, "deployment", causes)
    validate_numbers(spec, ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"), causes)
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds") or 0
    if deadline is not None and deadline <= ready:
        causes.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    _validate_strategy(spec.get("strategy") or {}, causes)
    validate_template(spec.get("template") or {}, "spec.template", causes)
    _validate_same_selector(obj, old, causes)


def validate_replica_set(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a ReplicaSet; its selector is for life."""
    spec = obj.get("spec") or {}
    _validate_selected(spec, "replicaset", causes)
    validate_numbers(spec, ("replicas", "minReadySeconds"), causes)
    validate_template(spec.get("template") or {}, "spec.template", causes)
    _validate_same_selector(obj, old, causes)


def validate_stateful_set(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a StatefulSet; most of its spec is for life."""
    spec = obj.get("spec") or {}
    _validate_selected(spec, "statefulset", causes)
    validate_numbers(spec, ("replicas", "minReadySeconds", "revisionHistoryLimit"), causes)
    causes.one_of(
        "spec.podManagementPolicy", spec.get("podManagementPolicy", "OrderedReady"), ("OrderedReady", "Parallel")
    )
    strategy = spec.get("updateStrategy") or {}
    causes.one_of("spec.updateStrategy.type", strategy.get("type", "RollingUpdate"), ("OnDelete", "RollingUpdate"))
    rolling = strategy.get("rollingUpdate") or {}
    if rolling and strategy.get("type") == "OnDelete":
        text = "only allowed for updateStrategy 'RollingUpdate'"
        causes.invalid("spec.updateStrategy.rollingUpdate", rolling, text)
    causes.at_least("spec.updateStrategy.rollingUpdate.partition", rolling.get("partition"))
    if "maxUnavailable" in rolling:
        _validate_amount(rolling["maxUnavailable"], "spec.updateStrategy.rollingUpdate.maxUnavailable", causes)
    if spec.get("volumeClaimTemplates"):
        causes.forbidden(
            "spec.volumeClaimTemplates",
            "the embedded cluster has no persistent volumes: what the pods write would be lost with them",
        )
    validate_template(spec.get("template") or {}, "spec.template", causes)
    if old is not None:
        before = old.get("spec") or {}
        for name in _STATEFUL_IMMUTABLE:
            validate_immutable(before.get(name), spec.get(name), f"spec.{name}", causes)


def _validate_selected(spec: Fields, kind: str, causes: Causes) -> None:
    selector = spec.get("selector")
    if selector is None:
        causes.required("spec.selector")
        return
    known = len(causes.found)
    validate_selector(selector, "spec.selector", causes)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
    if len(causes.found) == known:  # what a broken selector selects says nothing
        validate_template_selected(spec, causes)


def validate_template_selected(spec: Fields, causes: Causes) -> None:
    """Check that the selector selects the template's pods."""
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    try:
        matches = spec.get("selector") is None or LabelSelector.of(spec["selector"]).matches(labels)
    except BadRequestError:
        return  # the selector itself is already reported
    if not matches:
        causes.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def _validate_same_selector(obj: Object, old: Object | None, causes: Causes) -> None:
    if old is not None:
        before, after = (old.get("spec") or {}).get("selector"), (obj.get("spec") or {}).get("selector")
        validate_immutable(before, after, "spec.selector", causes)


def validate_numbers(spec: Fields, names: tuple[str, ...], causes: Causes) -> None:
    """Check that counts are not negative."""
    for name in names:
        causes.at_least(f"spec.{name}", spec.get(name))


def _validate_strategy(strategy: Fields, causes: Causes) -> None:
    kind = strategy.get("type", "RollingUpdate")
    causes.one_of("spec.strategy.type", kind, ("Recreate", "RollingUpdate"))
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        return
    if kind == "Recreate":
        text = "may not be specified when strategy `type` is 'Recreate'"
        causes.forbidden("spec.strategy.rollingUpdate", text)
        return
    field = "spec.strategy.rollingUpdate"
    surge, unavailable = rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%")
    _validate_amount(surge, f"{field}.maxSurge", causes)
    _validate_amount(unavailable, f"{field}.maxUnavailable", causes)
    if surge in {0, "0%"} and unavailable in {0, "0%"}:
        causes.invalid(f"{field}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    if isinstance(unavailable, str) and _PERCENT.fullmatch(unavailable) and int(unavailable[:-1]) > 100:
        causes.invalid(f"{field}.maxUnavailable", unavailable, "must not be greater than 100%")


def _validate_amount(value: Any, field: str, causes: Causes) -> None:
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            text = (
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
                "regex used for validation is '[0-9]+%')"
            )
            causes.invalid(field, value, text)
    else:
        causes.at_least(field, value)
