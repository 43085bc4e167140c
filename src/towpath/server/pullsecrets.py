"""The pull secret that every environment's manifests name: made by the platform, applied with everything else.

It joins the desired state of an environment, in each namespace that runs something of it, so it is there before the
first pod, healed when someone changes it, and pruned with the environment. An overlay that brings a Secret of that name
is left alone.

What it opens follows the overlay: the repositories that are pinned are allowed before they are applied, and those that
are pinned no longer are taken away when the revision that dropped them is applied and healthy, so that no pod on its
way out or in meets a closed door.
"""

import base64
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from towpath.blueprint.model import PULL_SECRET
from towpath.errors import TowpathError
from towpath.kube.objects import GVK, Object, find_path, key_of, namespace_of
from towpath.oci.reference import InvalidReferenceError, Reference
from towpath.reconcile.desired import Desired, DesiredSource
from towpath.reconcile.status import ApplicationStatus
from towpath.render.images import find_images
from towpath.server.artifacts import Artifacts

SECRET = GVK("", "v1", "Secret")
SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - a type, not a secret
KEY = ".dockerconfigjson"


@dataclass(frozen=True, slots=True)
class _Pinned:
    """What an environment needs at a revision."""

    revision: str
    repositories: frozenset[str]
    namespaces: frozenset[str]


class WithPullSecrets:
    """A `DesiredSource` that adds pull secrets to what another one says."""

    def __init__(self, source: DesiredSource, artifacts: Artifacts) -> None:
        self._source = source
        self._artifacts = artifacts
        self._pinned: dict[str, _Pinned] = {}

    async def resolve(self, environment: str) -> Desired:
        """What the environment is to be, pull secrets included."""
        desired = await self._source.resolve(environment)
        present = {key_of(obj) for obj in desired.objects}
        secrets = [self._secret(environment, namespace) for namespace in sorted(_pulling_namespaces(desired))]
        missing = tuple(secret for secret in secrets if key_of(secret) not in present)
        repositories = self._repositories(environment, desired)
        self._artifacts.pull_accounts.allow(environment, repositories)
        namespaces = frozenset(namespace_of(secret) for secret in missing)
        self._pinned[environment] = _Pinned(desired.revision, frozenset(repositories), namespaces)
        return replace(desired, objects=(*desired.objects, *missing))

    async def follow(self, environment: str) -> None:
        """Open what the overlay pins at this moment; one that cannot be read leaves open what is."""
        with contextlib.suppress(TowpathError):
            await self.resolve(environment)

    def settled(self, status: ApplicationStatus) -> None:
        """Take away what is pinned no longer, once what is pinned has been applied and is healthy."""
        pinned = self._pinned.get(status.environment)
        if pinned is not None and status.ready and status.applied_revision == pinned.revision:
            self._artifacts.pull_accounts.narrow(status.environment, pinned.repositories)

    def find_namespaces(self, environment: str) -> frozenset[str] | None:
        """Where the environment's secret is to be; None before it has been resolved."""
        pinned = self._pinned.get(environment)
        return pinned.namespaces if pinned else None

    def content(self, environment: str) -> str:
        """What the secret is to hold, as it stands in the object."""
        return base64.b64encode(self._artifacts.pull_secret(environment)).decode()

    def _secret(self, environment: str, namespace: str) -> Object:
        return {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {"name": PULL_SECRET, "namespace": namespace},
            "type": SECRET_TYPE,
            "data": {KEY: self.content(environment)},
        }

    def _repositories(self, environment: str, desired: Desired) -> set[str]:
        """What the overlay pins on our registry, what it names without a version included: that comes next."""
        waiting = {service for services in desired.not_promoted.values() for service in services}
        named = {self._artifacts.repository_of(environment, service) for service in waiting}
        return named | _find_repositories(desired.objects, self._artifacts.host)


def _find_repositories(objects: Iterable[Object], host: str) -> set[str]:
    found = set()
    for image in {use.image for use in find_images(objects)}:
        try:
            reference = Reference.parse(image)
        except InvalidReferenceError:
            continue  # the API server will say so
        if reference.registry == host:
            found.add(reference.repository)
    return found


def _pulling_namespaces(desired: Desired) -> set[str]:
    """The namespaces whose workloads name the pull secret."""
    found = set()
    for obj in desired.objects:
        cron = find_path(obj, "spec", "jobTemplate", "spec", "template", "spec")
        spec = cron or find_path(obj, "spec", "template", "spec") or find_path(obj, "spec") or {}
        names = {entry.get("name") for entry in spec.get("imagePullSecrets") or []} if isinstance(spec, dict) else set()
        if PULL_SECRET in names:
            found.add(namespace_of(obj))
    return found
