"""Keeps the registry's accounts and the reconciler in step with the environments of the blueprint."""

from pathlib import Path

from towpath.reconcile.controller import Reconciler
from towpath.server.artifacts import Artifacts
from towpath.server.blueprints import Blueprints
from towpath.server.credentials import Credentials, with_pull_accounts


class Environments:
    """The environments of one platform."""

    def __init__(
        self,
        state: Path,
        credentials: Credentials,
        *,
        branch: str,
        blueprints: Blueprints,
        artifacts: Artifacts,
        reconciler: Reconciler,
    ) -> None:
        self._state = state
        self._credentials = credentials
        self._branch = branch
        self._blueprints = blueprints
        self._artifacts = artifacts
        self._reconciler = reconciler

    async def follow(self) -> None:
        """Admit every environment of the blueprint at the head. Raises BlueprintError, OSError."""
        found = await self._blueprints.head(self._branch)
        if found is None:
            return
        _, blueprint = found
        names = list(blueprint.environments)
        self._credentials = with_pull_accounts(self._state, self._credentials, names)
        for name in names:
            self._artifacts.admit(name, self._credentials, blueprint.registry)
            self._reconciler.add_environment(name)
