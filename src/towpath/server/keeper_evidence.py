"""What Git, the cluster and the past need of the registry: `registry.keeper.evidence.Evidence` over a platform.

- pinned: whatever a YAML file of the branch names at any commit inside the history window (a `sha-` tag, a `newTag`, a
  digest), in whatever environment, overlay or patch; a superset of what overlays pin, so that no layout is missed.
- running: every image that pods, or the templates that make pods, name at this moment.
- rollback: the pins of the last good releases of each environment, and the digests that were last healthy there.

Each is read whole or the gathering fails: then nothing is removed. The one exception: where the platform's rights end
at the namespaces of its environments, what runs elsewhere is named as unseen, and the owner decides.
"""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from towpath.aio.clock import format_rfc3339
from towpath.blueprint.model import UNRELEASED_TAG, Blueprint
from towpath.ci.sets import SETS_REPOSITORY
from towpath.errors import TowpathError
from towpath.kube.errors import ApiNotFoundError, ForbiddenError
from towpath.kube.objects import GVK, Object, name_of, namespace_of
from towpath.observe.sources import Sources
from towpath.oci.reference import InvalidReferenceError, Reference
from towpath.promote.pins import find_pin
from towpath.promote.releases import Release, read_releases
from towpath.reconcile.verdicts import Outcome, Verdict
from towpath.registry.keeper.evidence import EvidenceError, Reason, Root, Roots, Why
from towpath.source.mentions import Mention, read_mentions

# Whatever makes pods, and what it makes them from after a rollback of its own.
RUNNING_KINDS = (
    GVK("", "v1", "Pod"),
    GVK("apps", "v1", "ReplicaSet"),
    GVK("apps", "v1", "ControllerRevision"),
    GVK("apps", "v1", "Deployment"),
    GVK("apps", "v1", "StatefulSet"),
    GVK("apps", "v1", "DaemonSet"),
    GVK("batch", "v1", "Job"),
    GVK("batch", "v1", "CronJob"),
)
MANIFEST_FILES = (".yaml", ".yml", ".json", "Kustomization")
PINS = r"sha-[0-9a-f]{7,64}|sha(256|512):[0-9a-f]{64,128}|newTag:"
_TAG = re.compile(r"(?<![\w.-])sha-[0-9a-f]{7,64}(?![\w.-])")
_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})(?![0-9a-f])")
_NEW_TAG = re.compile(r"newTag:\s*[\"']?([A-Za-z0-9_][A-Za-z0-9._-]{0,127})")
_BAD = frozenset({Outcome.DEGRADED, Outcome.ROLLED_BACK})


class PlatformEvidence:
    """What one platform needs of its registry."""

    def __init__(self, sources: Sources, *, serves: Callable[[str], bool]) -> None:
        """`serves` tells whether a blueprint's registry prefix is on the registry that is kept."""
        self._sources = sources
        self._serves = serves

    async def gather(self) -> Roots:
        """All evidence. Raises EvidenceError."""
        try:
            return await self._gather()
        except EvidenceError:
            raise
        except TowpathError as error:
            raise _unreadable(error) from error

    async def find_mark(self) -> str:
        """The head of the branch. Raises EvidenceError."""
        try:
            head = await self._sources.head()
        except TowpathError as error:
            raise _unreadable(error) from error
        return head.id if head else ""

    async def _gather(self) -> Roots:
        head = await self._sources.head()
        blueprint = await self._sources.blueprint()
        if head is None or blueprint is None:
            # Unborn, or so damaged that it looks like it.
            raise EvidenceError(
                f"collection was refused (NoEvidence): branch {self._sources.branch} has no commit that can be read",
                hint=f"git push towpath {self._sources.branch}",
            )
        hidden: list[str] = []
        running = [root async for root in self._running(hidden)]
        mentions = await read_mentions(
            self._sources.repository.path,
            head.id,
            since=self._sources.clock.now() - blueprint.keeping.history_seconds,
            pattern=PINS,
            suffixes=MANIFEST_FILES,
        )
        needed = [*_pinned(mentions, blueprint), *running]
        needed += [root async for root in self._rollbacks(blueprint)]
        managed = [repository_of(blueprint, name) for name in (*blueprint.services, SETS_REPOSITORY)]
        ours = self._serves(blueprint.registry)
        return Roots(
            needed=tuple(needed),
            managed=frozenset(managed if ours else ()),
            sets=frozenset({repository_of(blueprint, SETS_REPOSITORY)} if ours else ()),
            mark=head.id,
            unseen=f"{', '.join(hidden)} outside of {', '.join(self._namespaces())}" if hidden else "",
        )

    async def _running(self, hidden: list[str]) -> AsyncIterator[Root]:
        """What runs; kinds that may be seen in the platform's own namespaces alone are added to `hidden`."""
        for gvk in RUNNING_KINDS:
            try:
                found = await self._list(gvk, "")
            except ForbiddenError:
                hidden.append(gvk.kind)
                found = [obj for name in self._namespaces() for obj in await self._list(gvk, name)]
            for obj in found:
                evidence = f"{gvk.kind} {namespace_of(obj)}/{name_of(obj)}"
                for image in sorted(set(_images(obj))):
                    for repository, reference in _references(image):
                        yield Root(reference, Reason(Why.RUNNING, evidence), repository)

    async def _list(self, gvk: GVK, namespace: str) -> list[Object]:
        try:
            return list((await self._sources.client.list(gvk, namespace)).items)
        except ApiNotFoundError:
            return []  # this cluster does not know the kind

    def _namespaces(self) -> list[str]:
        """The platform's own."""
        return sorted(
            {name for one in self._sources.reconciler.environments for name in self._sources.namespaces_of(one)}
        )

    async def _rollbacks(self, blueprint: Blueprint) -> AsyncIterator[Root]:
        wanted = blueprint.keeping.releases
        for environment in blueprint.environments.values():
            verdicts = self._sources.verdicts.of_environment(environment.name)
            releases = await read_releases(
                self._sources.repository, self._sources.branch, environment, limit=4 * wanted
            )
            good = [release for release in releases if not _is_bad(release, blueprint, verdicts)]
            for release in good[:wanted]:
                named = f"release of {environment.name} since {format_rfc3339(release.commit.committed_at)[:10]}"
                for service in blueprint.services:
                    pin = find_pin(release.pins, service, blueprint.registry)
                    if pin and pin.tag not in {"", UNRELEASED_TAG}:
                        reason = Reason(Why.ROLLBACK, f"{named}, commit {release.commit.id[:7]}")
                        yield Root(pin.digest or pin.tag, reason, repository_of(blueprint, service))
            for verdict in _last_healthy(verdicts, wanted):
                reason = Reason(Why.ROLLBACK, f"healthy in {environment.name} on {format_rfc3339(verdict.since)[:10]}")
                yield Root(verdict.digest, reason)


def repository_of(blueprint: Blueprint, service: str) -> str:
    """A service's repository, without the registry's host."""
    return blueprint.image(service).partition("/")[2]


def _pinned(mentions: list[Mention], blueprint: Blueprint) -> Iterator[Root]:
    """One root for each thing that is named in a file, with the newest commit that added it."""
    seen: set[tuple[str, str]] = set()
    overlays = {environment.overlay: name for name, environment in blueprint.environments.items()}
    for mention in mentions:
        place = next((name for path, name in overlays.items() if mention.path.startswith(f"{path}/")), mention.path)
        found = [*_TAG.findall(mention.line), *_DIGEST.findall(mention.line), *_NEW_TAG.findall(mention.line)]
        for reference in found:
            if (reference, place) not in seen:
                seen.add((reference, place))
                yield Root(reference, Reason(Why.PINNED, f"named in {place} at {mention.commit[:7]}"))


def _images(node: Any) -> Iterator[str]:
    """Every text under a key `image` or `imageID`, however deep: templates stand in templates."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"image", "imageID"} and isinstance(value, str):
                yield value
            else:
                yield from _images(value)
    elif isinstance(node, list):
        for value in node:
            yield from _images(value)


def _references(image: str) -> Iterator[tuple[str, str]]:
    """Repository and reference that a runtime's name of an image stands for; a digest counts wherever it is."""
    digests = _DIGEST.findall(image)
    for digest in digests:
        yield "", digest
    if digests:
        return
    try:
        parsed = Reference.parse(image)
    except InvalidReferenceError:
        return
    yield "", parsed.tag or parsed.target


def _is_bad(release: Release, blueprint: Blueprint, verdicts: list[Verdict]) -> bool:
    bad = {(verdict.service, verdict.tag) for verdict in verdicts if verdict.outcome in _BAD}
    pins = {service: find_pin(release.pins, service, blueprint.registry) for service in blueprint.services}
    return any(pin is not None and (service, pin.tag) in bad for service, pin in pins.items())


def _last_healthy(verdicts: list[Verdict], wanted: int) -> Iterator[Verdict]:
    by_service: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.outcome is Outcome.HEALTHY:
            by_service[verdict.service].append(verdict)
    for healthy in by_service.values():
        yield from healthy[-wanted:]


def _unreadable(error: TowpathError) -> EvidenceError:
    return EvidenceError(
        f"collection was refused (NoEvidence): what is needed cannot be known: {error.message}",
        hint=error.hint or "nothing was removed; mend this, then collect again",
    )
