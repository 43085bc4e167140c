"""A whole little cluster for scenarios: a real kernel, the real controllers, a pretend kubelet and a virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

from fakes.clock import VirtualClock
from fakes.kubelet import Kubelet
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.controllers import Controllers
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import ApiError, ApiNotFoundError
from towpath.kube.objects import GVK, Object, gvk_of, name_of, namespace_of
from towpath.kube.requests import DeleteOptions, Patch, PatchType, Propagation, WriteOptions

POD = GVK("", "v1", "Pod")
EVENT = GVK("", "v1", "Event")
NAMESPACE = "dev"
USER = WriteOptions(field_manager="user")

# Turns of the event loop without any change after which nothing more is on its way.
QUIET_TURNS = 12


class TroubledClient(EmbeddedClient):
    """What the controllers write through. It makes the trouble that a test asks for.

    `refusals` are raised for creations of their kinds; `before_write` runs before each write and may raise or hang.
    """

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.refusals: dict[str, ApiError] = {}
        self.before_write: Callable[[], Awaitable[None]] = _no_trouble

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        """As the kernel does it, or the refusal of this kind."""
        refusal = self.refusals.get(obj["kind"])
        if refusal is not None:
            raise refusal
        await self.before_write()
        return await super().create(obj, options)

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        """As the kernel does it."""
        await self.before_write()
        return await super().update(obj, options)

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """As the kernel does it."""
        await self.before_write()
        return await super().patch(gvk, name, namespace, patch, options)

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """As the kernel does it."""
        await self.before_write()
        await super().delete(gvk, name, namespace, options)


async def _no_trouble() -> None:
    return


class Workloads:
    """Make it with `open`; `run` plays until nothing happens any more."""

    def __init__(self, directory: Path) -> None:
        uids, suffixes = count(1), count(1)
        self.clock = VirtualClock()
        self.kernel = Kernel.open(directory, clock=self.clock, new_uid=lambda: f"uid-{next(uids)}")
        self.client = EmbeddedClient(self.kernel)
        self.kubelet = Kubelet(self.client, self.clock)
        self.troubled = TroubledClient(self.kernel)
        self.refusals = self.troubled.refusals
        self._suffix = lambda: f"{next(suffixes):05}"
        self.controllers = self._new_controllers()

    @classmethod
    async def open(cls, directory: Path) -> "Workloads":
        """A cluster with one node, one namespace and running controllers."""
        workloads = cls(directory)
        await workloads.kubelet.register()
        await workloads.create(v1("Namespace", NAMESPACE, namespace=""))
        await workloads.controllers.start()
        return workloads

    async def close(self) -> None:
        """Stop the controllers and the kernel."""
        await self.controllers.close()
        self.kernel.close()

    async def restart_controllers(self) -> None:
        """End the controllers wherever they are, and start others."""
        await self.stop_controllers()
        self.controllers = self._new_controllers()
        await self.controllers.start()

    async def stop_controllers(self) -> None:
        """End the controllers wherever they are."""
        await self.controllers.close()

    async def settle(self) -> None:
        """Let the controllers come to rest; no kubelet, no time."""
        quiet, revision = 0, -1
        async with asyncio.timeout(120):
            while quiet < QUIET_TURNS:
                await asyncio.sleep(0)
                still = self.controllers.is_idle and self.kernel.revision == revision
                quiet, revision = quiet + 1 if still else 0, self.kernel.revision

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Let the controllers go on until `condition` holds, where they cannot come to rest."""
        async with asyncio.timeout(120):
            while not await condition():
                await self.clock.settle()

    async def run(self) -> None:
        """Let controllers and kubelet come to rest."""
        await self.settle()
        while await self.kubelet.step():
            await self.settle()

    async def advance(self, seconds: float) -> None:
        """Let time pass, then let the controllers come to rest."""
        await self.clock.advance(seconds)
        await self.settle()

    async def create(self, obj: Object) -> Object:
        """As a user."""
        return await self.client.create(obj, USER)

    async def change(self, obj: Object, changes: dict[str, Any], *, subresource: str = "") -> Object:
        """A merge patch, as a user."""
        options = WriteOptions(field_manager="user", subresource=subresource)
        patch = Patch(PatchType.MERGE, changes)
        return await self.client.patch(gvk_of(obj), name_of(obj), namespace_of(obj), patch, options)

    async def fresh(self, obj: Object) -> Object:
        """The object as it is stored."""
        return await self.client.get(gvk_of(obj), name_of(obj), namespace_of(obj))

    async def exists(self, obj: Object) -> bool:
        """Whether an object of that name is stored."""
        try:
            await self.fresh(obj)
        except ApiNotFoundError:
            return False
        return True

    async def delete(self, obj: Object, *, propagation: Propagation = Propagation.BACKGROUND) -> None:
        """As a user."""
        options = DeleteOptions(propagation=propagation)
        await self.client.delete(gvk_of(obj), name_of(obj), namespace_of(obj), options)

    async def all(self, gvk: GVK) -> list[Object]:
        """Every object of a kind, by namespace and name."""
        return (await self.client.list(gvk)).items

    async def pods(self) -> list[Object]:
        """Every pod."""
        return await self.all(POD)

    async def pod_names(self) -> list[str]:
        """Every pod's name, sorted."""
        return sorted(map(name_of, await self.pods()))

    async def messages(self, reason: str) -> list[str]:
        """The messages of the events of one reason, oldest first."""
        events = [one for one in await self.all(EVENT) if one["reason"] == reason]
        return [one["message"] for one in sorted(events, key=lambda one: int(name_of(one).rsplit(".", 1)[1], 16))]

    def _new_controllers(self) -> Controllers:
        return Controllers(self.troubled, clock=self.clock, random_suffix=self._suffix)


def v1(kind: str, name: str, *, namespace: str = NAMESPACE, **fields: Any) -> Object:
    """An object of the core group."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def template(image: str = "sensor:1", app: str = "sensor", **spec: Any) -> dict[str, Any]:
    """A pod template with one container."""
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }


def workload(kind: str, name: str = "sensor", *, image: str = "sensor:1", **spec: Any) -> Object:
    """A Deployment, ReplicaSet or StatefulSet that selects its template's `app` label."""
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": template(image, name),
            **spec,
        },
    }


def images(pods: Iterable[Object]) -> list[str]:
    """The image of each pod's first container."""
    return [pod["spec"]["containers"][0]["image"] for pod in pods]


def condition(obj: Object, condition_type: str) -> dict[str, Any]:
    """A condition of the status; fails when there is none."""
    return next(one for one in obj["status"]["conditions"] if one["type"] == condition_type)
