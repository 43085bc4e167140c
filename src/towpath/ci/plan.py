"""Decides what a commit needs: which services are built, and which images are carried over from an ancestor.

Pure. A service is unaffected when an ancestor's set holds its image for the same Git tree and the same settings; tree
ids see through merges, reverts and force pushes, which a list of changed files does not. Only ancestors count: an
image that is carried names the commit that built it, and a promotion requires that commit to be on the branch.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from towpath.blueprint.model import DEFAULT_INTO, Service
from towpath.ci.sets import Artifact

_BRANCHES = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Build:
    """A service to build, and why."""

    service: Service
    tree_id: str
    fingerprint: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetPlan:
    """What makes the set of a commit complete.

    Attributes:
        builds: services to build, by name.
        carried: images that fit as they are, by name.
        missing: services whose directory the commit does not have.
        removed: services that the nearest ancestor's set has and this commit has not.
    """

    builds: tuple[Build, ...]
    carried: tuple[Artifact, ...]
    missing: tuple[Service, ...]
    removed: tuple[str, ...]


def commit_to_build(ref: str, after: str, *, branch: str) -> str | None:
    """The commit that a push asks to build: None for other branches, tags, and a branch that was deleted."""
    return after if ref == f"{_BRANCHES}{branch}" and after.strip("0") else None


def plan_set(services: Mapping[str, Service], trees: Mapping[str, str | None], known: Iterable[Artifact]) -> SetPlan:
    """Decide for each service.

    Args:
        services: the blueprint's, by name.
        trees: Git's id of each service's directory, by service name; None where there is none.
        known: images of ancestors, the nearest ancestor's first.
    """
    nearest: dict[str, Artifact] = {}
    by_content: dict[tuple[str, str, str], Artifact] = {}
    for artifact in known:
        nearest.setdefault(artifact.service, artifact)
        by_content.setdefault((artifact.service, artifact.tree_id, artifact.fingerprint), artifact)
    builds, carried, missing = [], [], []
    removed = {name: artifact for name, artifact in nearest.items() if name not in services}
    for name, service in sorted(services.items()):
        tree_id = trees.get(name)
        if not tree_id:
            missing.append(service)
            continue
        mark = fingerprint(service)
        found = by_content.get((name, tree_id, mark))
        if found is not None:
            carried.append(found)
        else:
            builds.append(Build(service, tree_id, mark, _reason(nearest.get(name), tree_id, removed.values())))
    return SetPlan(tuple(builds), tuple(carried), tuple(missing), tuple(sorted(removed)))


def plan_rebuild(plan: SetPlan, services: Mapping[str, Service], unfit: Iterable[str], *, reason: str) -> SetPlan:
    """The same plan with those carried images that are of no use built instead."""
    names = set(unfit)
    again = [
        Build(services[artifact.service], artifact.tree_id, artifact.fingerprint, reason)
        for artifact in plan.carried
        if artifact.service in names
    ]
    kept = tuple(artifact for artifact in plan.carried if artifact.service not in names)
    builds = sorted([*plan.builds, *again], key=lambda build: build.service.name)
    return SetPlan(tuple(builds), kept, plan.missing, plan.removed)


def fingerprint(service: Service) -> str:
    """What of a blueprint's entry changes the image. The path does not: a directory may move."""
    settings = {
        "base": service.base,
        "entrypoint": list(service.entrypoint),
        "env": dict(service.env),
        "port": service.port,
        "user": service.user,
    }
    # Only where they say something: images of services that do not use them stay carried when a key is added.
    later = {
        "requirements": (service.requirements, ""),
        "static": (service.static, ""),
        "into": (service.into, DEFAULT_INTO),
        "binary": (service.binary, ""),
        "dockerfile": (service.dockerfile, ""),
        "target": (service.target, ""),
        "build_args": (dict(service.build_args), {}),
        "secrets": (list(service.secrets), []),
    }
    settings |= {key: value for key, (value, default) in later.items() if value != default}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _reason(before: Artifact | None, tree_id: str, removed: Iterable[Artifact]) -> str:
    if before is None:
        source = next((artifact.service for artifact in removed if artifact.tree_id == tree_id), "")
        return f"renamed from {source}" if source else "new"
    return "its files changed" if before.tree_id != tree_id else "its settings changed"
