"""The EndpointSlice controller: who answers for a Service right now.

Every change of a pod that may matter asks for the Services that select it, before or after the change. What the slices
should say is decided in `endpointslice_plan`; the node's proxy and name service read them.
"""

from collections.abc import Callable

from towpath.aio.clock import Clock
from towpath.cluster.controllers.endpointslice_plan import (
    ENDPOINT_SLICE,
    SERVICE_NAME_LABEL,
    plan_slices,
    selector_of,
    selects_pods,
)
from towpath.cluster.controllers.informer import Informer, NamespacedName, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import is_controlled_by, is_terminating
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.triggers import add_changed
from towpath.cluster.controllers.writes import WRITE
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object, labels_of, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions

SERVICE = GVK("", "v1", "Service")


class EndpointSliceController:
    """Keeps the EndpointSlices of every Service that selects pods."""

    def __init__(
        self,
        client: ObjectClient,
        *,
        services: Informer,
        slices: Informer,
        pods: Informer,
        clock: Clock,
        random_suffix: Callable[[], str],
    ) -> None:
        self.loop = ControlLoop("endpointslice", self.reconcile, clock=clock)
        self._client = client
        self._services = services
        self._slices = slices
        self._pods = pods
        self._random_suffix = random_suffix
        services.on_change(add_changed(self.loop))
        slices.on_change(self._on_slice)
        pods.on_change(self._on_pod)

    async def reconcile(self, key: NamespacedName) -> None:
        """Bring one Service's slices up to date.

        Raises:
            ApiError: a write was refused; the key comes back.
        """
        service = self._services.find(key)
        if service is None or is_terminating(service) or not selects_pods(service):
            return  # slices of a Service that is gone go with it: they are owned by it
        selector = selector_of(service)
        pods = [pod for pod in self._pods.in_namespace(key.namespace) if selector.matches(labels_of(pod))]
        existing = [one for one in self._slices.owned_by(uid_of(service)) if is_controlled_by(one, service)]
        plan = plan_slices(service, pods, existing)
        for wanted in plan.create:
            await self._create(key, wanted)
        for changed in plan.update:
            stored = await self._client.update(changed, WRITE)
            self.loop.expectations.expect_written(key, self._slices, stored)
        for surplus in plan.delete:
            await self._delete(key, surplus)

    async def _create(self, key: NamespacedName, wanted: Object) -> None:
        prefix = f"{key.name}-"
        metadata = {**wanted["metadata"], "name": prefix + self._random_suffix(), "generateName": prefix}
        stored = await self._client.create({**wanted, "metadata": metadata}, WRITE)
        self.loop.expectations.expect_written(key, self._slices, stored)

    async def _delete(self, key: NamespacedName, surplus: Object) -> None:
        options = DeleteOptions(uid=uid_of(surplus))
        try:
            await self._client.delete(ENDPOINT_SLICE, name_of(surplus), namespace_of(surplus), options)
        except ApiNotFoundError:
            return
        self.loop.expectations.expect_deleted(key, self._slices, surplus)

    def _on_slice(self, before: Object | None, after: Object | None) -> None:
        for one in (before, after):
            service = labels_of(one).get(SERVICE_NAME_LABEL) if one is not None else None
            if one is not None and service:
                self.loop.add(NamespacedName(namespace_of(one), service))

    def _on_pod(self, before: Object | None, after: Object | None) -> None:
        pods = [pod for pod in (before, after) if pod is not None]
        for service in self._services.in_namespace(namespace_of(pods[0])):
            selector = selector_of(service)
            if any(selector.matches(labels_of(pod)) for pod in pods):
                self.loop.add(namespaced_name(service))
