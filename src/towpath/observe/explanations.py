"""`explain`: why something is not built, not synced or not healthy: the cause, the evidence and the next step.

The findings follow the way of a change (Git, build, render and apply, health), so the first one is where it hangs.
"""

from collections.abc import Iterator
from typing import Any

from towpath.ci.report import Outcome
from towpath.errors import TowpathError
from towpath.kube.health import Health
from towpath.observe.sources import Sources
from towpath.reconcile.status import ApplicationStatus, Problem, ServiceStatus, Sync


async def explain(sources: Sources, *, environment: str = "", service: str = "") -> dict[str, Any]:
    """The findings, as JSON values; where all is well, one finding an environment that says so.

    Raises:
        NotFoundError: no such environment or service.
    """
    findings: list[dict[str, str]] = []
    names = list(sources.reconciler.environments)
    try:
        blueprint = await sources.blueprint()
        if blueprint is None:
            hint = f"git push towpath {sources.branch}"
            findings.append(_finding("platform repository", "empty", "nothing was pushed yet", "", hint))
        else:
            names = [blueprint.get_environment(environment).name] if environment else list(blueprint.environments)
            if service:
                blueprint.get_service(service)
            findings += await _build_findings(sources)
    except TowpathError as error:
        if environment or service:
            raise
        findings.append(_finding("blueprint", "failed", error.message, "", error.hint))
    for name in names:
        findings += _application(sources.reconciler.status(name), service)
    return {"findings": findings}


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


def _application(status: ApplicationStatus, service: str) -> Iterator[dict[str, str]]:
    name = status.environment
    troubled = False
    for finding in _application_problems(status):
        troubled = True
        yield finding
    for one in status.services.values():
        if service in ("", one.service) and (one.desired is None or one.health is not Health.HEALTHY):
            troubled = True
            yield _service(name, one)
    if not troubled:
        evidence = f"revision {status.revision[:7]}" if status.revision else ""
        yield _finding(f"{name}/{service}" if service else name, status.health.value, "all is well", evidence, "")


def _application_problems(status: ApplicationStatus) -> Iterator[dict[str, str]]:
    name = status.environment
    if status.hold is not None:
        yield _finding(name, "on hold", status.hold.reason, f"by {status.hold.by}", f"towpath hold {name} --release")
    for problem in (status.problem, status.prune_problem):
        if problem is not None:
            yield _finding(name, "failed", problem.message, _since(problem), problem.hint)
    if status.sync is not Sync.SYNCED and status.problem is None:
        yield _finding(name, status.sync.value, status.sync_message, "", f"towpath diff {name}")
    for drift in status.drift[-3:]:
        evidence = ", ".join(drift.managers)
        yield _finding(name, drift.state.value, f"changed behind Git's back: {drift.describe()}", evidence, "")


def _service(environment: str, status: ServiceStatus) -> dict[str, str]:
    subject = f"{environment}/{status.service}"
    if status.desired is None:
        hint = f"towpath promote {status.service} --to {environment}"
        return _finding(subject, "not promoted", status.message or "its overlay names no version yet", "", hint)
    evidence = f"{status.ready_pods} of {status.total_pods} pods ready, version {status.desired.tag}"
    hint = f"towpath logs {status.service} -e {environment}"
    return _finding(subject, status.health.value, status.message, evidence, hint)


def _since(problem: Problem) -> str:
    return f"since {problem.since:.0f} (seconds since the epoch)"


def _finding(subject: str, state: str, reason: str, evidence: str, next_step: str) -> dict[str, str]:
    return {"subject": subject, "state": state, "reason": reason, "evidence": evidence, "next": next_step}
