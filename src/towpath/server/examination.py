"""`doctor` on a running platform: is every part well, and what is the next step where one is not?"""

from typing import Protocol

from towpath.amounts import format_age
from towpath.blueprint.model import Blueprint
from towpath.errors import TowpathError
from towpath.kube.health import Health
from towpath.observe.sources import Sources
from towpath.reconcile.status import Sync
from towpath.server.artifacts import Artifacts
from towpath.server.doctor import OK, PROBLEM, WARNING, Check


class Examined(Protocol):
    """What is asked of the cluster."""

    async def examine(self, registry: str) -> list[Check]:
        """The findings; `registry` is where nodes get our images from, empty where they get them elsewhere."""
        ...


async def examine_platform(sources: Sources, cluster: Examined, artifacts: Artifacts) -> list[dict[str, str]]:
    """The findings, as JSON values."""
    checks = await examine_cluster(sources, cluster, artifacts)
    checks += [*_remote(sources), *await _repository(sources, artifacts)]
    checks += [_environment(sources, name) for name in sources.reconciler.environments]
    return [check.document() for check in checks]


async def examine_cluster(sources: Sources, cluster: Examined, artifacts: Artifacts) -> list[Check]:
    """What is to be said of the cluster, and of its nodes' way to our images where they are ours."""
    try:
        blueprint = await sources.blueprint()
    except TowpathError:
        blueprint = None  # reported as a finding of its own
    ours = blueprint is None or artifacts.serves(blueprint.registry)
    return await cluster.examine(artifacts.host if ours else "")


def _remote(sources: Sources) -> list[Check]:
    status = sources.find_remote()
    if status is None:
        return []
    if status.problem:
        reason, _, hint = status.problem.partition("\n  next: ")
        return [Check("remote", PROBLEM, reason, hint)]
    if status.last_success_at is None:
        return [Check("remote", WARNING, f"{status.url} has not answered yet", "wait a moment")]
    age = format_age(sources.clock.now() - status.last_success_at)
    hinted = "" if status.last_hint_at is not None else "; no webhook came since the start"
    return [Check("remote", OK, f"{status.url}, looked at {age} ago{hinted}")]


async def _repository(sources: Sources, artifacts: Artifacts) -> list[Check]:
    try:
        blueprint = await sources.blueprint()
    except TowpathError as error:
        return [Check("blueprint", PROBLEM, error.message, error.hint)]
    if blueprint is None:
        return [Check("platform repository", WARNING, "nothing was pushed yet", f"git push towpath {sources.branch}")]
    return [_blueprint(blueprint, sources.branch), _registry(blueprint, artifacts), _build(await _report_of(sources))]


def _blueprint(blueprint: Blueprint, branch: str) -> Check:
    if blueprint.branch != branch:
        evidence = f"it names the branch {blueprint.branch}, and the platform follows {branch}"
        return Check("blueprint", PROBLEM, evidence, f"start with --branch {blueprint.branch}")
    services, environments = ", ".join(blueprint.services), ", ".join(blueprint.environments)
    return Check("blueprint", OK, f"services {services or 'none'}; environments {environments or 'none'}")


def _registry(blueprint: Blueprint, artifacts: Artifacts) -> Check:
    if artifacts.serves(blueprint.registry):
        return Check("registry", OK, f"{blueprint.registry}, embedded")
    host = blueprint.registry.partition("/")[0]
    if host.startswith(("127.", "localhost")):
        hint = f"start with --port {host.rpartition(':')[2]}, or change registry in towpath.yaml"
        return Check("registry", PROBLEM, f"the blueprint names {host}, and nothing of ours listens there", hint)
    return Check("registry", OK, f"{blueprint.registry}, outside")


async def _report_of(sources: Sources) -> str:
    head = await sources.head()
    report = sources.ci.find_report(head.id) if head else None
    return report.error if report else ""


def _build(error: str) -> Check:
    return (
        Check("build", PROBLEM, error, "towpath explain") if error else Check("build", OK, "the newest commit is built")
    )


def _environment(sources: Sources, name: str) -> Check:
    status = sources.reconciler.status(name)
    words = f"{status.sync.value}, {status.health.value}"
    message = status.problem.message if status.problem else status.health_message or status.sync_message
    if status.sync is Sync.SYNCED and status.health is Health.HEALTHY:
        return Check(f"environment {name}", OK, words)
    return Check(f"environment {name}", WARNING, f"{words}: {message}" if message else words, f"towpath explain {name}")
