"""Rules for Jobs: what of one is for life, and what its status may say.

A Job at rest (suspended, without pods) may change where its pods go and what they may use. A status is checked as it
is written; rules about what changed compare with the stored object.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

from towpath.kube.objects import Object, clone, find_path
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.metadata import validate_immutable, validate_selector
from towpath.kube.validation.pods import validate_template
from towpath.kube.validation.workloads import validate_numbers, validate_template_selected

Fields: TypeAlias = dict[str, Any]

# What may change in the template of a Job at rest, beside the node's affinity and the containers' resources.
_AT_REST = {"metadata": ("labels", "annotations"), "spec": ("nodeSelector", "tolerations", "schedulingGates")}
_FINISHED = frozenset({"Complete", "Failed"})
# What may not be said side by side, if anything of it is new; and what a verdict needs beside it.
_CONTRADICTIONS = (
    ("Complete", "Failed"),
    ("Complete", "FailureTarget"),
    ("SuccessCriteriaMet", "Failed"),
    ("SuccessCriteriaMet", "FailureTarget"),
)
_REASONS = (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet"))
_FOR_GOOD = (
    ("Failed", "terminal "),
    ("Complete", "terminal "),
    ("FailureTarget", "terminal "),
    ("SuccessCriteriaMet", ""),
)


def validate_job(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a Job; selector and completions are for life, and its template once it has begun."""
    spec = obj.get("spec") or {}
    numbers = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
    validate_numbers(spec, numbers, causes)
    validate_selector(spec.get("selector"), "spec.selector", causes)
    validate_template_selected(spec, causes)
    validate_template(spec.get("template") or {}, "spec.template", causes, ("OnFailure", "Never"))
    for name in ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "managedBy"):
        if name in spec:
            causes.forbidden(f"spec.{name}", "the embedded cluster does not implement it")
    if spec.get("completionMode", "NonIndexed") != "NonIndexed":
        causes.one_of("spec.completionMode", spec["completionMode"], ("NonIndexed",))
    if old is not None:
        before = old.get("spec") or {}
        for name in ("completions", "selector", "completionMode"):
            validate_immutable(before.get(name), spec.get(name), f"spec.{name}", causes)
        template = clone(spec.get("template") or {})
        field = "spec.template"
        if _may_change_template(old):
            field = "spec.template.spec"
            _take_over_placement(template, before.get("template") or {})
        validate_immutable(before.get("template"), template, field, causes)


def _may_change_template(job: Object) -> bool:
    """Whether a Job is at rest: suspended, without pods, and either not begun or seen as suspended."""
    status = job.get("status") or {}
    seen = any(one.get("type") == "Suspended" and one.get("status") == "True" for one in status.get("conditions") or [])
    idle = "startTime" not in status or seen
    return bool((job.get("spec") or {}).get("suspend")) and idle and not status.get("active")


def _take_over_placement(template: Fields, before: Fields) -> None:
    """Make the template as before in what a Job at rest may change: labels, where its pods go, what they may use."""
    for part, names in _AT_REST.items():
        fields, kept = template.setdefault(part, {}), before.get(part) or {}
        for name in names:
            _take_over(fields, kept, name)
    spec, kept = template["spec"], before.get("spec") or {}
    # The node's affinity alone; where a pod goes among other pods is for life.
    affinity, known = spec.get("affinity"), kept.get("affinity")
    if affinity is not None or known is not None:
        merged = dict(affinity or {})
        _take_over(merged, known or {}, "nodeAffinity")
        if merged or known is not None:
            spec["affinity"] = merged
        else:
            spec.pop("affinity", None)
    for kind in ("containers", "initContainers"):
        pairs = zip(spec.get(kind) or [], kept.get(kind) or [], strict=False)
        for container, previous in pairs:
            if container.get("name") == previous.get("name"):
                _take_over(container, previous, "resources")


def _take_over(fields: Fields, before: Fields, name: str) -> None:
    if name in before:
        fields[name] = before[name]
    else:
        fields.pop(name, None)


def validate_job_status(obj: Object, old: Object, causes: Causes) -> None:
    """Check a status: counts, times, and the conditions that are verdicts."""
    status, before = obj.get("status") or {}, old.get("status") or {}
    for name in ("active", "succeeded", "failed", "ready", "terminating"):
        causes.at_least(f"status.{name}", status.get(name))
    changed = {name for name in (*status, *before) if status.get(name) != before.get(name)}
    now, then = _conditions(status, "True"), _conditions(before, "True")
    _validate_times(obj, old, changed, causes)
    for message in _contradictions(now, then):
        causes.add("status.conditions", "FieldValueInvalid", f"Invalid value: {message}")
    if now & _FINISHED:
        _validate_finished(obj, changed, anew=not then & _FINISHED, causes=causes)
    if changed & {"ready", "active"} and status.get("ready", 0) > status.get("active", 0):
        causes.invalid("status.ready", status.get("ready", 0), "cannot set more ready pods than active")
    for name in ("failed", "succeeded"):
        if status.get(name, 0) < before.get(name, 0):
            causes.invalid(f"status.{name}", status.get(name, 0), f"cannot decrease the {name} counter")


def _validate_times(obj: Object, old: Object, changed: set[str], causes: Causes) -> None:
    status, before = obj.get("status") or {}, old.get("status") or {}
    started, ended = status.get("startTime"), status.get("completionTime")
    complete = "Complete" in _conditions(status, "True")
    if "completionTime" in changed or complete != ("Complete" in _conditions(before, "True")):
        if complete and not ended:
            causes.required("status.completionTime", "completionTime is required for Complete jobs")
        elif ended and not complete:
            text = "cannot set completionTime when there is no Complete=True condition"
            causes.invalid("status.completionTime", ended, text)
    if changed & {"startTime", "completionTime"} and started and ended and ended < started:
        causes.invalid("status.completionTime", ended, "must be equal to or after `startTime`")
    if ended and before.get("completionTime", ended) != ended:
        causes.invalid("status.completionTime", ended, "field is immutable")
    resuming = "Suspended" in _conditions(before, "True") & _conditions(status, "False")
    if before.get("startTime", started) != started and not find_path(obj, "spec", "suspend") and not resuming:
        causes.invalid("status.startTime", started, "field is immutable for unsuspended job once set")


def _validate_finished(obj: Object, changed: set[str], *, anew: bool, causes: Causes) -> None:
    status = obj.get("status") or {}
    for name in ("active", "terminating"):
        if status.get(name, 0) > 0 and (anew or name in changed):
            causes.invalid(f"status.{name}", status[name], f"{name}>0 is invalid for finished job")
    idle = find_path(obj, "spec", "suspend") and find_path(obj, "spec", "completions") == 0
    if "startTime" not in status and (anew or "startTime" in changed) and not idle:
        causes.required("status.startTime", "startTime is required for finished job")


def _contradictions(now: set[str], then: set[str]) -> Iterator[str]:
    """What conditions may not stand side by side, not without each other, and not be taken back."""
    changed = now ^ then
    for pair in _CONTRADICTIONS:
        if now.issuperset(pair) and (pair[0] != "Complete" or changed.intersection(pair)):
            yield f"cannot set {pair[0]}=True and {pair[1]}=true conditions"
    for verdict, reason in _REASONS:
        if verdict in now and reason not in now and changed & {verdict, *({reason} if verdict == "Complete" else ())}:
            yield f"cannot set {verdict}=True condition without the {reason}=true condition"
    for verdict, what in _FOR_GOOD:
        if verdict in then - now:
            yield f"cannot disable the {what}{verdict}=True condition"
    if "Complete" in then and "SuccessCriteriaMet" in now - then:
        yield "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"


def _conditions(status: Fields, state: str) -> set[str]:
    return {str(one.get("type")) for one in status.get("conditions") or [] if one.get("status") == state}
