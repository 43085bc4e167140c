"""`explain`: why something is not built, not synced or not healthy: the cause, the evidence and the next step.

The findings follow the way of a change (Git, build, render and apply, health), so the first one is where it hangs.
Moments are in the evidence as a person reads them: in UTC, with their age.
"""

from collections.abc import Iterator
from typing import Any

from towpath.aio.clock import format_rfc3339
from towpath.amounts import format_age
from towpath.blueprint.model import Blueprint
from towpath.ci.report import Outcome
from towpath.errors import TowpathError
from towpath.kube.health import Health
from towpath.observe.sources import Sources
from towpath.reconcile.drift import DriftState
from towpath.reconcile.status import ApplicationStatus, ServiceStatus, Sync


async def explain(sources: Sources, *, environment: str = "", service: str = "") -> dict[str, Any]:
    """The findings, as JSON values; where all is well, one finding an environment that says so.

    Raises:
        NotFoundError: no such environment or service.
    """
    findings: list[dict[str, str]] = list(_remote_findings(sources))
    names = list(sources.reconciler.environments)
    blueprint: Blueprint | None = None
    try:
        blueprint = await sources.blueprint()
        if blueprint is None:
            hint = f"git push towpath {sources.branch}"
            findings.append(_finding("platform repository", "empty", "nothing was pushed yet", "", hint))
        else:
            names = [blueprint.get_environment(environment).name] if environment else sources.environments(blueprint)
            if service:
                blueprint.get_service(service)
            findings += await _build_findings(sources)
    except TowpathError as error:
        if environment or service:
            raise
        findings.append(_finding("blueprint", "failed", error.message, "", error.hint))
    told = {finding["reason"] for finding in findings}
    for name in names:
        if blueprint is not None and name not in blueprint.environments:
            findings.append(_dropped(name))
            continue
        status = sources.status_of(name)
        findings += _without_source(blueprint, status, service) if blueprint else []
        found = _application(status, service, sources.clock.now())
        # A broken blueprint stops every environment alike: said once, where the change hangs.
        findings += [finding for finding in found if finding["reason"] not in told]
    return {"findings": findings}


def _remote_findings(sources: Sources) -> Iterator[dict[str, str]]:
    remote = sources.find_remote()
    if remote is not None and remote.problem:
        reason, _, hint = remote.problem.partition("\n  next: ")
        last = remote.last_success_at
        evidence = f"last answer {_moment(last, sources.clock.now())}" if last is not None else "it never answered"
        pause = format_age(max(remote.next_look_at - sources.clock.now(), 0.0))
        told = f"{evidence}, {remote.failures} failures since, next look in {pause}"
        yield _finding(remote.url, "failed", reason, told, hint)


async def _build_findings(sources: Sources) -> list[dict[str, str]]:
    head = await sources.head()
    report = sources.ci.find_report(head.id) if head else None
    if head is None or report is None or not report.error:
        return []
    subject = f"build of {head.id[:7]}"
    errors = [(f"{subject}, service {one.service}", one.error) for one in report.services if one.error]
    evidence = f"attempt {report.attempt}, commit {head.subject!r}"
    hint = "mend it and push again" if report.outcome is Outcome.FAILED else "it is tried again by itself"
    return [
        _finding(where, report.outcome.value, error, evidence, hint)
        for where, error in errors or [(subject, report.error)]
    ]


def _dropped(environment: str) -> dict[str, str]:
    reason = f"the head has no overlay of {environment}; what runs there is left as it is"
    hint = f"restore the overlay, or `kubectl delete namespace {environment}`"
    return _finding(environment, "not in Git", reason, "", hint)


def _without_source(blueprint: Blueprint, status: ApplicationStatus, service: str) -> Iterator[dict[str, str]]:
    """Services that run though the head of the branch has dropped them."""
    name = status.environment
    overlay = blueprint.environments[name].overlay
    for one in status.services.values():
        if one.service not in blueprint.services and service in ("", one.service):
            reason = f"the head has no service {one.service}, and {overlay} names it; its last version keeps running"
            hint = f"restore its directory, or remove it from what {overlay} lists"
            yield _finding(f"{name}/{one.service}", "not in Git", reason, "", hint)


def _application(status: ApplicationStatus, service: str, now: float) -> Iterator[dict[str, str]]:
    name = status.environment
    troubled = False
    for finding in _application_problems(status, now):
        troubled = True
        yield finding
    for one in status.services.values():
        if service in ("", one.service) and (one.desired is None or one.health is not Health.HEALTHY):
            troubled = True
            yield _service(name, one)
    if not troubled:
        evidence = f"revision {status.revision[:7]}" if status.revision else ""
        yield _finding(f"{name}/{service}" if service else name, status.health.value, "all is well", evidence, "")


def _application_problems(status: ApplicationStatus, now: float) -> Iterator[dict[str, str]]:
    name = status.environment
    if status.hold is not None:
        by = f"by {status.hold.by}, " if status.hold.by else ""
        evidence = f"{by}{_since(status.hold.since, now)}"
        yield _finding(name, "on hold", status.hold.reason, evidence, f"towpath hold {name} --release")
    for problem in (status.problem, status.prune_problem):
        if problem is not None:
            state = "waiting" if problem.waiting else "failed"
            yield _finding(name, state, problem.message, _since(problem.since, now), problem.hint)
    if status.sync is not Sync.SYNCED and status.problem is None:
        yield _finding(name, status.sync.value, status.sync_message, "", f"towpath diff {name}")
    for drift in status.drift[-3:]:
        evidence = f"found {_moment(drift.found_at, now)}"
        if drift.healed_at is not None:
            evidence += f", undone after {format_age(drift.healed_at - drift.found_at)}"
        hint = "commit the change, or undo it" if drift.state is DriftState.REPORTED else ""
        yield _finding(name, drift.state.value, f"changed behind Git's back: {drift.describe()}", evidence, hint)


def _service(environment: str, status: ServiceStatus) -> dict[str, str]:
    subject = f"{environment}/{status.service}"
    if status.desired is None:
        hint = f"towpath promote {status.service} --to {environment}"
        return _finding(subject, "not promoted", status.message or "its overlay names no version yet", "", hint)
    evidence = f"{status.ready_pods} of {status.total_pods} pods ready, version {status.desired.tag}"
    hint = f"towpath logs {status.service} -e {environment}"
    return _finding(subject, status.health.value, status.message, evidence, hint)


def _since(moment: float, now: float) -> str:
    return f"since {_moment(moment, now)}"


def _moment(moment: float, now: float) -> str:
    return f"{format_rfc3339(moment)} ({format_age(max(now - moment, 0.0))} ago)"


def _finding(subject: str, state: str, reason: str, evidence: str, next_step: str) -> dict[str, str]:
    return {"subject": subject, "state": state, "reason": reason, "evidence": evidence, "next": next_step}
