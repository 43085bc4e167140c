"""A pretend node agent: moves pods through their lives by writing statuses, and runs nothing.

`step` does what a quick kubelet would do next for every pod; images in `broken` never become ready. Single pods are
failed, finished or made unready on demand.
"""

import contextlib
from typing import Any

from towpath.aio.clock import Clock, format_rfc3339
from towpath.cluster.client import EmbeddedClient
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object, find_path, metadata_of, name_of, namespace_of
from towpath.kube.requests import DeleteOptions, Patch, PatchType, WriteOptions

POD = GVK("", "v1", "Pod")
NODE = "towpath"
STATUS = WriteOptions(field_manager="kubelet", subresource="status")


class Kubelet:
    """Plays one node."""

    def __init__(self, client: EmbeddedClient, clock: Clock, *, node: str = NODE) -> None:
        self.node = node
        self.broken: set[str] = set()
        self._client = client
        self._clock = clock
        self._addresses = 0

    async def register(self, labels: dict[str, str] | None = None) -> None:
        """Create the Node object."""
        metadata = {"name": self.node, "labels": {"kubernetes.io/hostname": self.node, **(labels or {})}}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        await self._client.create(node, WriteOptions(field_manager="kubelet"))

    async def pods(self) -> list[Object]:
        """The pods bound to this node."""
        return [pod for pod in (await self._client.list(POD)).items if find_path(pod, "spec", "nodeName") == self.node]

    async def step(self) -> bool:
        """Start what is new and end what is being deleted; whether there was anything to do."""
        acted = False
        for pod in await self.pods():
            if "deletionTimestamp" in metadata_of(pod):
                await self.end(pod)
            elif find_path(pod, "status", "phase") == "Pending" and not self._is_broken(pod):
                await self.run(pod)
            elif find_path(pod, "status", "phase") == "Pending" and not find_path(pod, "status", "containerStatuses"):
                await self.refuse_image(pod)
            else:
                continue
            acted = True
        return acted

    async def run(self, pod: Object, *, ready: bool = True) -> None:
        """The pod's containers run, and are ready unless told otherwise."""
        self._addresses += 1
        status = {
            "phase": "Running",
            "podIP": f"10.0.0.{self._addresses}",
            "startTime": self._time(),
            "conditions": [self._condition(ready=ready)],
        }
        await self._write(pod, status)

    async def set_ready(self, pod: Object, *, ready: bool) -> None:
        """The readiness probe changes its mind."""
        await self._write(pod, {"conditions": [self._condition(ready=ready)]})

    async def refuse_image(self, pod: Object) -> None:
        """The image cannot be pulled."""
        containers = [
            {"name": one["name"], "state": {"waiting": {"reason": "ErrImagePull"}}, "restartCount": 0}
            for one in pod["spec"]["containers"]
        ]
        await self._write(pod, {"containerStatuses": containers, "conditions": [self._condition(ready=False)]})

    async def finish(self, pod: Object, *, exit_code: int = 0) -> None:
        """All containers end for good: Succeeded with exit code 0, else Failed."""
        terminated = {"exitCode": exit_code, "finishedAt": self._time()}
        status = {
            "phase": "Failed" if exit_code else "Succeeded",
            "conditions": [self._condition(ready=False)],
            "containerStatuses": [
                {"name": one["name"], "state": {"terminated": terminated}} for one in pod["spec"]["containers"]
            ],
        }
        await self._write(pod, status)

    async def restart(self, pod: Object, *, restarts: int) -> None:
        """The containers have been restarted this many times."""
        containers = [{"name": one["name"], "restartCount": restarts} for one in pod["spec"]["containers"]]
        await self._write(pod, {"containerStatuses": containers})

    async def end(self, pod: Object) -> None:
        """The pod's processes are gone: confirm its deletion."""
        options = DeleteOptions(grace_period_seconds=0)
        try:
            await self._client.delete(POD, name_of(pod), namespace_of(pod), options)
        except ApiNotFoundError:
            return

    async def _write(self, pod: Object, status: dict[str, Any]) -> None:
        patch = Patch(PatchType.STRATEGIC, {"status": status})
        with contextlib.suppress(ApiNotFoundError):  # deleted meanwhile
            await self._client.patch(POD, name_of(pod), namespace_of(pod), patch, STATUS)

    def _is_broken(self, pod: Object) -> bool:
        return any(container.get("image") in self.broken for container in pod["spec"]["containers"])

    def _condition(self, *, ready: bool) -> dict[str, str]:
        return {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": self._time()}

    def _time(self) -> str:
        return format_rfc3339(self._clock.now())
