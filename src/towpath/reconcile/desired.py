"""What an environment is to be at the head of the branch: objects, and the artifact behind each image of ours.

    branch head -> tree ids -> (export) -> render -> resolve images -> Desired

Everything that cannot change is remembered (renders by tree id, blueprints by commit, digests of `sha-` tags), so the
answer for an unchanged branch costs one look into the repository and one request a channel image.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from towpath.blueprint.model import UNRELEASED_TAG, Blueprint, Environment
from towpath.errors import NotFoundError
from towpath.kube.objects import Object, ObjectKey, key_of, metadata_of, namespace_of
from towpath.kube.upstream import find_address
from towpath.oci.reference import Reference
from towpath.reconcile.artifacts import Artifact, ArtifactResolver, find_service
from towpath.reconcile.trees import TreeStore
from towpath.render.images import ContainerImage, find_images, set_images
from towpath.render.kustomize import Renderer
from towpath.source.commits import Commit

# `Towpath-Prune: prod` on the head commit says that its author knows what it deletes there.
PRUNE_TRAILER = "Towpath-Prune"
# The head, and the commits around it while several pushes are on their way.
REMEMBERED_COMMITS = 16


@dataclass(frozen=True, slots=True)
class Desired:
    """What an environment is to be.

    Attributes:
        environment: its name.
        platform: the platform's name; with the environment's it makes the tracking id.
        revision: the commit this is rendered from.
        objects: as rendered, images of ours pinned to digests; without our marks.
        artifacts: by service.
        not_promoted: objects left out because they name the placeholder tag, and the services they wait for.
        caught_up: False while a channel still lags behind the sources of `revision` (its build is on the way).
        prune_confirmed: whether the commit itself says that deleting is meant.
    """

    environment: str
    platform: str
    revision: str
    objects: tuple[Object, ...]
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    not_promoted: dict[ObjectKey, tuple[str, ...]] = field(default_factory=dict)
    caught_up: bool = True
    prune_confirmed: bool = False

    @property
    def application(self) -> str:
        """`home/dev`: what tracking ids begin with."""
        return f"{self.platform}/{self.environment}"


class DesiredSource(Protocol):
    """Where the controller learns what is desired."""

    async def resolve(self, environment: str) -> Desired:
        """What the environment is to be at this moment. Raises TowpathError, which says what is wrong."""
        ...


class Repository(Protocol):
    """The platform repository, as far as it is needed here."""

    async def find_commit(self, rev: str) -> str | None:
        """The full id of a revision, or None."""
        ...

    async def get_commit(self, rev: str) -> Commit:
        """A commit with its trailers."""
        ...

    async def tree_ids(self, commit: str, paths: Iterable[str]) -> dict[str, str | None]:
        """The git id of what stands at each path."""
        ...


@dataclass(frozen=True, slots=True)
class _CommitFacts:
    """What a commit says to every environment; commits never change."""

    blueprint: Blueprint
    ids: dict[str, str | None]  # of the manifests' and the services' directories
    prune_confirmed: frozenset[str]  # environments


class GitDesiredSource:
    """Desired states from the platform repository, the renderer and the registry."""

    def __init__(
        self,
        repository: Repository,
        blueprint_at: Callable[[str], Awaitable[Blueprint]],
        *,
        branch: str,
        trees: TreeStore,
        renderer: Renderer,
        resolver: ArtifactResolver,
    ) -> None:
        """Join the parts.

        Args:
            repository: the platform repository.
            blueprint_at: the blueprint of a commit; it should remember, the same commit is asked for often.
            branch: the branch that is reconciled.
            trees: exported trees.
            renderer: the kustomize renderer.
            resolver: images to artifacts.
        """
        self._repository = repository
        self._blueprint_at = blueprint_at
        self._branch = branch
        self._trees = trees
        self._renderer = renderer
        self._resolver = resolver
        self._commits: OrderedDict[str, _CommitFacts] = OrderedDict()
        self._reading = asyncio.Lock()

    async def resolve(self, environment: str) -> Desired:
        """What the environment is to be at the head of the branch.

        Raises:
            NotFoundError: no commit yet, or no such environment or overlay.
            BlueprintError, RenderError, ArtifactMissingError: the repository is wrong; the user mends it.
            FirstBuildAwaitedError: the first build is on its way.
            RemoteError: a peer did not answer; try again.
        """
        head = await self._repository.find_commit(f"refs/heads/{self._branch}")
        if head is None:
            raise NotFoundError(
                f"environment {environment} has no desired state (NoCommit): branch {self._branch} is empty",
                hint=f"push a commit to {self._branch}",
            )
        facts = await self._read_commit(head)
        settings = facts.blueprint.get_environment(environment)
        top = _top(settings)
        objects = await self._render(head, settings, top, facts.ids.get(top))
        set_namespaces(objects, environment)
        artifacts, not_promoted = await self._resolve_images(facts.blueprint, objects)
        return Desired(
            environment=environment,
            platform=facts.blueprint.name,
            revision=head,
            objects=tuple(obj for obj in objects if key_of(obj) not in not_promoted),
            artifacts=artifacts,
            not_promoted=not_promoted,
            caught_up=_is_caught_up(facts, artifacts.values()),
            prune_confirmed=environment in facts.prune_confirmed,
        )

    async def _read_commit(self, head: str) -> _CommitFacts:
        # Under one lock, so that environments asking side by side for a new commit read it once.
        async with self._reading:
            known = self._commits.get(head)
            if known is None:
                known = self._commits[head] = await self._ask_repository(head)
                while len(self._commits) > REMEMBERED_COMMITS:
                    self._commits.popitem(last=False)
        return known

    async def _ask_repository(self, head: str) -> _CommitFacts:
        blueprint = await self._blueprint_at(head)
        tops = {_top(settings) for settings in blueprint.environments.values()}
        paths = [*sorted(tops), *(service.path for service in blueprint.services.values())]
        ids, commit = await asyncio.gather(self._repository.tree_ids(head, paths), self._repository.get_commit(head))
        values = [value for key, value in commit.trailers if key == PRUNE_TRAILER]
        confirmed = frozenset(name for value in values for name in value.replace(",", " ").split())
        return _CommitFacts(blueprint, ids, confirmed)

    async def _render(self, head: str, settings: Environment, top: str, tree_id: str | None) -> list[Object]:
        overlay = settings.overlay.strip("/")
        if tree_id is None:
            raise NotFoundError(
                f"overlay {overlay} was not found (NotFound): commit {head[:7]} does not have {top}/",
                hint="create it, or correct the overlay path in the blueprint",
            )
        root = self._trees.path(tree_id)
        if not self._renderer.has(overlay, key=tree_id):
            root = await self._trees.get(head, top, tree_id)
        return await self._renderer.render(root, overlay, key=tree_id)

    async def _resolve_images(
        self, blueprint: Blueprint, objects: list[Object]
    ) -> tuple[dict[str, Artifact], dict[ObjectKey, tuple[str, ...]]]:
        uses: dict[tuple[str, Reference], list[ContainerImage]] = {}
        not_promoted: dict[ObjectKey, tuple[str, ...]] = {}
        for use in find_images(objects):
            found = find_service(use.image, blueprint.registry)
            if found is None:
                continue
            if found[1].tag == UNRELEASED_TAG and found[1].digest is None:
                not_promoted[use.key] = (*not_promoted.get(use.key, ()), found[0])
            else:
                uses.setdefault(found, []).append(use)
        wanted = {
            found: [use for use in found_uses if use.key not in not_promoted] for found, found_uses in uses.items()
        }
        resolved = await asyncio.gather(
            *(self._resolver.resolve(service, reference, of) for (service, reference), of in wanted.items() if of)
        )
        images: dict[str, str] = {}
        for artifact, of in zip(resolved, filter(None, wanted.values()), strict=True):
            images |= {use.image: artifact.reference for use in of}
        set_images(objects, images)
        return {artifact.service: artifact for artifact in resolved}, not_promoted


def set_namespaces(objects: Iterable[Object], default: str) -> None:
    """Give namespaced objects that name none the environment's; what kinds of others' are is not known here."""
    for obj in objects:
        key = key_of(obj)
        address = find_address(key.group, key.kind)
        if address is not None and address.namespaced and not namespace_of(obj):
            metadata_of(obj)["namespace"] = default


def _top(settings: Environment) -> str:
    """The directory that is exported: an overlay refers to bases beside it."""
    return settings.overlay.strip("/").split("/")[0]


def _is_caught_up(facts: _CommitFacts, artifacts: Iterable[Artifact]) -> bool:
    for artifact in artifacts:
        service = facts.blueprint.services.get(artifact.service)
        if artifact.channel and artifact.tree and service is not None and facts.ids.get(service.path) != artifact.tree:
            return False
    return True
