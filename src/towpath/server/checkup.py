"""What `doctor` says of a running platform: the findings on each of its parts, put together in their order.

What is looked at, and what is a problem, stands beside each part (`examination`, `permissions`, `encryption`, the
keeper, the registry's access). Nothing here changes anything.
"""

from dataclasses import dataclass

from towpath.aio.clock import Clock
from towpath.observe.sources import Sources
from towpath.reconcile.ports import ResourceClient
from towpath.server.artifacts import Artifacts
from towpath.server.doctor import OK, Check
from towpath.server.encryption import Encryption, examine_encryption
from towpath.server.examination import examine_cluster, examine_platform
from towpath.server.keeper import Keeper
from towpath.server.permissions import examine_permissions
from towpath.server.pullsecrets import WithPullSecrets
from towpath.server.registryaccess import RegistryAccess
from towpath.server.runtime import Cluster
from towpath.server.settings import OutsideCluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """The parts that are examined. `outside` is the cluster that is not ours; None for the embedded one."""

    sources: Sources
    cluster: Cluster
    artifacts: Artifacts
    registry_access: RegistryAccess
    keeper: Keeper
    encryption: Encryption | None
    pull_secrets: WithPullSecrets
    outside: OutsideCluster | None
    clock: Clock

    async def examine(self) -> list[dict[str, str]]:
        """Every finding."""
        checks = await examine_platform(self.sources, self.cluster, self.artifacts)
        access = await self.registry_access.examine() + examine_encryption(self.encryption, now=self.clock.now())
        rights = await self._examine_rights()
        return [*checks, *(check.document() for check in [*rights, *await self.keeper.examine(), *access])]

    async def find_warnings(self) -> tuple[str, ...]:
        """What its user should know of an outside cluster at once."""
        if self.cluster.facts.is_ours:
            return ()  # whatever is lacking there is in its summary
        checks = await examine_cluster(self.sources, self.cluster, self.artifacts)
        return tuple(f"{check.evidence}: {check.next}" for check in checks if check.state != OK)

    async def _examine_rights(self) -> list[Check]:
        if self.outside is None:
            return []
        client: ResourceClient = self.cluster.client
        environments = self.sources.reconciler.environments
        return await examine_permissions(client, self.pull_secrets, environments, own_namespace=self.outside.namespace)
