"""From what a person asks for to a candidate the gate can judge.

A version may be asked for as a tag, as a commit, or not at all: then it is what the environment before runs. A tag that
was only carried forward (its commit changed nothing in the service) leads to the commit that built the image, and the
pin names that one, so that pin, tag and revision label always agree.
"""

from dataclasses import dataclass

from towpath.blueprint.model import Blueprint, Environment, Service
from towpath.errors import UserError
from towpath.oci.annotations import REVISION
from towpath.oci.digest import Digest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.oci.tags import parse_sha_tag, sha_tag
from towpath.ociclient.errors import PullError
from towpath.ociclient.images import Image
from towpath.promote.gate.evidence import Artifacts, Candidate, History, Runtime
from towpath.promote.gate.tag_form import find_problem
from towpath.promote.pins import Pin, find_pin


class NoVersionYetError(UserError):
    """No version was named, and the environment before runs none."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where candidates are looked up."""

    blueprint: Blueprint
    history: History
    artifacts: Artifacts
    runtime: Runtime
    platform: Platform


async def resolve_candidate(
    lookup: Lookup, service_name: str, environment_name: str, version: str, pins: dict[str, Pin]
) -> Candidate:
    """The candidate for one service.

    Args:
        lookup: where to look.
        service_name: the service.
        environment_name: the environment it asks to enter.
        version: a tag or commit as a person wrote it; empty for what the environment before runs.
        pins: the environment's pins at present.

    Raises:
        NotFoundError: no such service or environment.
        NoVersionYetError: no version was named, and the environment before runs none yet.
        UserError: no version was named, and no environment stands before.
    """
    service = lookup.blueprint.get_service(service_name)
    environment = lookup.blueprint.get_environment(environment_name)
    tag = version or await _running_tag(lookup, service, environment)
    image, problem = await _find_image(lookup, service, tag)
    tag, commit = await _canonical(lookup, service, tag, image)
    current = find_pin(pins, service.name, lookup.blueprint.registry)
    return Candidate(
        service=service,
        environment=environment,
        branch=lookup.blueprint.branch,
        tag=tag,
        reference=_reference(lookup, service, tag),
        commit=commit,
        image=image,
        image_problem=problem,
        current=current,
        current_commit=await _commit_of(lookup.history, current.tag) if current else None,
    )


async def _running_tag(lookup: Lookup, service: Service, environment: Environment) -> str:
    before = environment.promotes_from
    if before is None:
        raise UserError(
            f"promotion of {service.name} to {environment.name} cannot start (NoVersion): nothing stands before it",
            hint="name a version: --tag sha-<7 digits>",
        )
    standing = await lookup.runtime.standing(before, service.name)
    if standing is None or not standing.digest:
        raise NoVersionYetError(
            f"{before} does not run {service.name} yet",
            hint=f"push a version and wait until {before} is healthy (--wait), or name one: --tag sha-<7 digits>",
        )
    reference = Reference.parse(lookup.blueprint.image(service.name)).with_digest(Digest.parse(standing.digest))
    image = await lookup.artifacts.image(reference, lookup.platform)
    revision = image.config.labels.get(REVISION, "")
    return sha_tag(revision) if revision else standing.digest


def _reference(lookup: Lookup, service: Service, tag: str) -> Reference:
    repository = Reference.parse(lookup.blueprint.image(service.name))
    return repository if find_problem(tag) else repository.with_tag(tag)


async def _find_image(lookup: Lookup, service: Service, tag: str) -> tuple[Image | None, str]:
    if find_problem(tag) is not None:
        return None, "the tag has the wrong form"
    try:
        return await lookup.artifacts.image(_reference(lookup, service, tag), lookup.platform), ""
    except PullError as error:
        return None, error.message


async def _canonical(lookup: Lookup, service: Service, tag: str, image: Image | None) -> tuple[str, str | None]:
    commit = await _commit_of(lookup.history, tag)
    revision = image.config.labels.get(REVISION, "") if image is not None else ""
    if not revision or commit is None or revision == commit:
        return tag, commit
    if await lookup.history.find_commit(revision) is None:
        return tag, commit
    asked = await lookup.history.tree_ids(commit, [service.path])
    built = await lookup.history.tree_ids(revision, [service.path])
    if asked[service.path] is not None and asked == built:
        return sha_tag(revision), revision
    return tag, commit


async def _commit_of(history: History, tag: str) -> str | None:
    digits = parse_sha_tag(tag)
    return await history.find_commit(digits) if digits else None
