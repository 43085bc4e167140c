"""A build by hand: chosen services of a commit or of a work tree. Their publication: `manual_push`.

1. Take what was built before from the same trees; export the directories of the others. A work tree is built where it
   stands.
2. Build, side by side (`batch`).
"""

from pathlib import Path

from towpath.blueprint.model import Service
from towpath.ci.batch import Batch, ServiceRun
from towpath.ci.order import Order
from towpath.ci.plan import Build, fingerprint


class ManualBuild:
    """Builds what an order says."""

    def __init__(self, batch: Batch, *, workdir: Path) -> None:
        """Directories of commits are exported below `workdir`, which is the caller's to remove."""
        self._batch = batch
        self._workdir = workdir

    async def build(self, order: Order) -> list[ServiceRun]:
        """Build every service; a failure is in its run."""
        runs = [self._prepare(order, service) for service in order.services]
        if not order.contexts:
            await self._batch.recall(order.snapshot, runs, tag=order.tag)
            await self._batch.export(order.snapshot, runs)
        await self._batch.build(order.snapshot, runs, tag=order.tag)
        return runs

    def _prepare(self, order: Order, service: Service) -> ServiceRun:
        context = order.contexts.get(service.name)
        tree_id = "" if context else order.snapshot.trees.get(service.name) or ""
        build = Build(service, tree_id, fingerprint(service), "asked for")
        if context:
            return ServiceRun(build, context.directory, context.only)
        return ServiceRun(build, self._workdir / service.name)
