"""All controllers of the embedded cluster together: one watch a kind, fanned out to whoever needs it.

Start it after the kernel is open; close it before the kernel is. Killed at any moment, it goes on from what the objects
say: nothing is remembered between runs but counts of repeated events.
"""

import asyncio
from collections.abc import Callable

from towpath.aio.clock import Clock
from towpath.aio.tasks import Background
from towpath.cluster.controllers.deployment import DeploymentController
from towpath.cluster.controllers.deployment_rollout import DEPLOYMENT
from towpath.cluster.controllers.endpointslice import SERVICE, EndpointSliceController
from towpath.cluster.controllers.endpointslice_plan import ENDPOINT_SLICE
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.controllers.informer import Informer
from towpath.cluster.controllers.job import JOB, JobController
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.pods import POD
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.replicaset import REPLICA_SET, ReplicaSetController
from towpath.cluster.controllers.scheduler import NODE, Scheduler
from towpath.cluster.controllers.statefulset import STATEFUL_SET, StatefulSetController
from towpath.cluster.controllers.statefulset_revisions import CONTROLLER_REVISION
from towpath.kube.objects import GVK


class Controllers:
    """Every controller, started and closed as one."""

    def __init__(self, client: ObjectClient, *, clock: Clock, random_suffix: Callable[[], str]) -> None:
        """`random_suffix` returns five characters for the name of a generated object."""
        self._client = client
        self._informers: dict[GVK, Informer] = {}
        self._events = EventRecorder(client, clock=clock)
        self._background = Background()
        self._loops = self._wire(clock, random_suffix)

    @property
    def is_idle(self) -> bool:
        """Whether every queue is empty and every event written; deadlines may still be running."""
        return self._events.is_idle and all(loop.is_idle for loop in self._loops)

    async def start(self) -> None:
        """Fill the caches, then let the controllers work."""
        for gvk, informer in self._informers.items():
            self._background.run_forever(f"informer-{gvk.kind}", informer.run)
        await asyncio.gather(*(informer.wait_synced() for informer in self._informers.values()))
        self._events.start()
        for loop in self._loops:
            loop.start()

    async def close(self) -> None:
        """Stop everything; what is under way is taken up at the next start."""
        await self._background.close()
        await asyncio.gather(*(loop.close() for loop in self._loops))
        await self._events.close()

    def _wire(self, clock: Clock, random_suffix: Callable[[], str]) -> list[ControlLoop]:
        client, events = self._client, self._events
        pods, replicasets = self._informer(POD), self._informer(REPLICA_SET)
        controllers = (
            Scheduler(client, pods=pods, nodes=self._informer(NODE), events=events, clock=clock),
            ReplicaSetController(
                client,
                replicasets=replicasets,
                pods=pods,
                events=events,
                clock=clock,
                random_suffix=random_suffix,
            ),
            DeploymentController(
                client,
                deployments=self._informer(DEPLOYMENT),
                replicasets=replicasets,
                pods=pods,
                events=events,
                clock=clock,
            ),
            StatefulSetController(
                client,
                statefulsets=self._informer(STATEFUL_SET),
                revisions=self._informer(CONTROLLER_REVISION),
                pods=pods,
                events=events,
                clock=clock,
            ),
            JobController(
                client,
                jobs=self._informer(JOB),
                pods=pods,
                events=events,
                clock=clock,
                random_suffix=random_suffix,
            ),
            EndpointSliceController(
                client,
                services=self._informer(SERVICE),
                slices=self._informer(ENDPOINT_SLICE),
                pods=pods,
                clock=clock,
                random_suffix=random_suffix,
            ),
        )
        return [controller.loop for controller in controllers]

    def _informer(self, gvk: GVK) -> Informer:
        return self._informers.setdefault(gvk, Informer(self._client, gvk))
