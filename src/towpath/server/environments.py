"""Keeps the registry's accounts and the reconciler in step with the environments of the blueprint."""

from towpath.reconcile.controller import Reconciler
from towpath.reconcile.drift import DriftMode
from towpath.server.artifacts import Artifacts
from towpath.server.blueprints import Blueprints
from towpath.server.keeper import quota_of


class Environments:
    """The environments of one platform."""

    def __init__(
        self,
        *,
        branch: str,
        blueprints: Blueprints,
        artifacts: Artifacts,
        reconciler: Reconciler,
    ) -> None:
        self._branch = branch
        self._blueprints = blueprints
        self._artifacts = artifacts
        self._reconciler = reconciler

    async def follow(self) -> None:
        """Admit every environment of the blueprint at the head, as it says, and set its quota.

        Raises BlueprintError, OSError.
        """
        found = await self._blueprints.head(self._branch)
        if found is None:
            return
        _, blueprint = found
        self._artifacts.registry.limit(quota_of(blueprint.keeping))
        for name, environment in blueprint.environments.items():
            self._artifacts.admit(name, blueprint.registry)
            self._reconciler.add_environment(name)
            self._reconciler.set_drift_mode(name, DriftMode(environment.drift))
