"""`where`: what became of a commit: the images it built or shares, and where they run or are named."""

from typing import Any

from towpath.errors import NotFoundError
from towpath.observe.sources import Sources
from towpath.oci.tags import parse_sha_tag, sha_tag
from towpath.reconcile.status import ServiceStatus


async def describe_whereabouts(sources: Sources, revision: str) -> dict[str, Any]:
    """The whereabouts of a commit, as JSON values. `revision` may be a commit, a branch or a `sha-` tag.

    Raises:
        NotFoundError: no such commit.
    """
    commit = await sources.find_commit(parse_sha_tag(revision) or revision)
    if commit is None:
        raise NotFoundError(
            f"commit {revision} was not found (NotFound): neither a commit nor a branch nor a sha- tag is so called",
            hint="`git log --oneline` and `towpath history` list what there is",
        )
    blueprint = await sources.blueprint_at(commit.id)
    trees = await sources.repository.tree_ids(commit.id, [service.path for service in blueprint.services.values()])
    report = sources.ci.find_report(commit.id)
    built = {service.service: service for service in report.services} if report else {}
    services = []
    for name, service in blueprint.services.items():
        known = built.get(name)
        places = [
            place
            for environment in sources.reconciler.environments
            if (place := await _place(sources, environment, name, commit.id, service.path, trees[service.path]))
        ]
        services.append(
            {
                "service": name,
                "tag": sha_tag(known.revision) if known and known.revision else sha_tag(commit.id),
                "digest": known.digest if known else "",
                "state": known.outcome.value if known else "unknown",
                "message": known.error if known else "",
                "environments": places,
            }
        )
    return {"commit": commit.id, "subject": commit.subject, "author": commit.author, "services": services}


async def _place(
    sources: Sources, environment: str, service: str, commit: str, path: str, tree: str | None
) -> dict[str, Any] | None:
    status = sources.reconciler.status(environment).services.get(service)
    artifact = status.desired if status else None
    if status is None or artifact is None:
        return None
    if artifact.revision != commit:
        # Another commit with the very same source is the same version.
        same = artifact.tree or (await sources.repository.tree_ids(artifact.revision, [path]))[path]
        if not artifact.revision or tree is None or same != tree:
            return None
    since = status.verdict.since if status.verdict else None
    return {"environment": environment, "state": _state(status, artifact.digest), "age_seconds": sources.age(since)}


def _state(status: ServiceStatus, digest: str) -> str:
    running = status.live_digests.get(digest, 0)
    if not running:
        return "named, not running"
    if running < status.total_pods:
        return f"running in {running} of {status.total_pods} pods"
    return f"running, {status.health.value.lower()}"
