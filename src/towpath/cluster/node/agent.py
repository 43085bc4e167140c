"""The node agent: watches the pods bound to this node and keeps a worker for each; wires the parts of this package.

Only the API is remembered: an agent that comes back finds its pods there, and starts again whatever should run. What is
on disk is images, log files and volumes of pods that still exist. Everything it started ends with it, however it ends.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Unpack

from towpath.aio.clock import Clock
from towpath.aio.tasks import Background
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.controllers.informer import Informer, NamespacedName, namespaced_name
from towpath.cluster.node.config_watch import EVERYTHING, follow_changes
from towpath.cluster.node.housekeeping import (
    MemoryDirectory,
    claim_memory_directory,
    machine_name,
    remove_abandoned,
    remove_leftovers,
)
from towpath.cluster.node.image.store import ImageSource, ImageStore
from towpath.cluster.node.network.cluster_network import HOST_IP, ClusterNetwork
from towpath.cluster.node.network.names import SERVICE_NAME_LABEL
from towpath.cluster.node.network.services import SERVICE, RouterPorts, ServiceKey, ServiceRouter
from towpath.cluster.node.pod.place import Node, Place, log_directory
from towpath.cluster.node.pod.pod_logs import LogSource, make_query, read_pod_log
from towpath.cluster.node.pod.recorder import EventSink
from towpath.cluster.node.pod.references import CONFIG_MAP, SECRET, ConfigKey, referenced
from towpath.cluster.node.pod.runtime import Machine
from towpath.cluster.node.pod.tokens import TokenIssuer
from towpath.cluster.node.pod.worker import POD, PodWorker
from towpath.cluster.node.registration import (
    local_node_name,
    local_platform,
    prepare_node,
    prepare_status,
    read_capacity,
    read_node_info,
)
from towpath.cluster.node.sandbox.cgroups import Cgroups, find_cgroups
from towpath.cluster.node.sandbox.isolation import Isolation, Mode, decide, find_bwrap, probe_sandbox
from towpath.cluster.node.settings import NodeSettings
from towpath.kube.errors import AlreadyExistsError, ApiNotFoundError
from towpath.kube.objects import GVK, Object, find_path, labels_of, metadata_of, name_of, namespace_of, uid_of
from towpath.kube.requests import LogOptions, Patch, PatchType, WriteOptions
from towpath.oci.keyring import Keyring

log = logging.getLogger(__name__)

NODE = GVK("", "v1", "Node")
ENDPOINT_SLICE = GVK("discovery.k8s.io", "v1", "EndpointSlice")
FIELD_MANAGER = "kubelet"
# Half a second in all: a killed process is gone after some milliseconds.
GROUP_LOOKS, GROUP_LOOK_SECONDS = 50, 0.01


class NodeAgent:
    """Runs pods. `start` it, `close` it."""

    def __init__(
        self,
        client: EmbeddedClient,
        *,
        data: Path,
        clock: Clock,
        pull: Callable[[Keyring], ImageSource],
        events: EventSink,
        settings: NodeSettings | None = None,
        tokens: TokenIssuer | None = None,
        new_container_id: Callable[[], str] = lambda: secrets.token_hex(32),
    ) -> None:
        """Remember the parts; nothing is started.

        Args:
            client: the cluster.
            data: a directory of the agent's own.
            clock: waiting, and times in statuses.
            pull: makes a source of images that pulls with a keyring.
            events: records Events.
            settings: what the owner chose.
            tokens: issues service account tokens; without, pods get none.
            new_container_id: 64 hexadecimal digits, never the same twice.
        """
        self._client = client
        self._data = data
        self._clock = clock
        self._pull = pull
        self._events = events
        self._settings = settings or NodeSettings()
        self._tokens = tokens
        self._new_container_id = new_container_id
        self.node_name = self._settings.node_name or local_node_name()
        self._pods = Informer(client, POD)
        self._services = Informer(client, SERVICE)
        self._slices = Informer(client, ENDPOINT_SLICE)
        self._network = ClusterNetwork(self._settings, services=lambda: self._services, slices=lambda: self._slices)
        self._workers: dict[str, PodWorker] = {}
        self._places: dict[str, Place] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._background = Background()
        self._closing = False
        self._memory: MemoryDirectory | None = None
        self._found: Isolation | None = None
        self._node: Node | None = None
        self._images: ImageStore | None = None
        self._cgroups: Cgroups | None = None
        self._router: ServiceRouter | None = None

    @property
    def network(self) -> ClusterNetwork:
        """Where pods and Services are reached."""
        return self._network

    @property
    def isolation(self) -> str:
        """The mode in force, and the reason for each thing missing; "" before `start`."""
        return self._found.describe() if self._found is not None else ""

    async def start(self) -> None:
        """Probe the machine, register the node, and begin to run its pods."""
        self._data.mkdir(parents=True, exist_ok=True)
        self._memory = claim_memory_directory(self._data)
        for abandoned in remove_abandoned():
            log.info("%s is of a platform that has ended and is removed", abandoned)
        await self._probe()
        self._node = self._prepare_shared()
        self._router = self._make_router()
        self._pods.on_change(self._on_pod)
        self._services.on_change(self._on_service)
        self._slices.on_change(self._on_slice)
        for informer in (self._services, self._slices):
            self._background.run_forever(f"watch of {informer.gvk.kind}", informer.run)
            await informer.wait_synced()
        for gvk in (CONFIG_MAP, SECRET):
            self._background.run_forever(
                f"watch of {gvk.kind}", partial(follow_changes, self._client, gvk, self._on_config)
            )
        await self._register()
        existing = await self._client.list(POD)
        remove_leftovers(self._data, self._memory.path if self._memory is not None else None, existing.items)
        self._router.start()
        self._background.run_forever("watch of Pod", self._pods.run)

    async def close(self) -> None:
        """Stop every pod's processes, quickly but in good order; their objects stay as they are."""
        self._closing = True
        await self._background.close()
        workers = list(self._workers.values())
        await asyncio.gather(
            *(worker.stop_containers(self._settings.stop_grace_seconds) for worker in workers), return_exceptions=True
        )
        if self._router is not None:
            await self._router.close()
        await self._network.close()
        if self._images is not None:
            await self._images.close()
        await self._remove_traces()

    def logs(
        self, namespace: str, pod: str, container: str = "", **options: Unpack[LogOptions]
    ) -> AsyncIterator[bytes]:
        """The log of a container ("" for the only one), in pieces.

        Raises:
            ApiNotFoundError, BadRequestError: while iterating, in upstream's words.
        """
        found = self._pods.find(NamespacedName(namespace, pod))
        place = self._places.get(uid_of(found)) if found is not None else None
        runtime = place.found_runtime if place is not None else None
        directory = log_directory(self._data / "logs", found) if found is not None else Path()
        source = LogSource(directory, runtime.find_open_log if runtime is not None else lambda _: None)
        query = make_query(options, now=self._clock.now())
        return read_pod_log(found, (namespace, pod), container, query, source)

    async def _remove_traces(self) -> None:
        """Leave nothing outside of the data directory: no secrets in memory, no control groups."""
        if self._memory is not None:
            self._memory.release()
            self._memory = None
        if self._cgroups is not None:
            for _ in range(GROUP_LOOKS):
                if self._cgroups.close():
                    break
                await asyncio.sleep(GROUP_LOOK_SECONDS)

    async def _probe(self) -> None:
        bwrap = find_bwrap()
        self._cgroups = await asyncio.to_thread(find_cgroups, machine_name(self._data))
        wanted = self._settings.isolation
        missing = {"sandbox": "switched off by the settings"}
        if wanted not in {Mode.PROCESS, Mode.NONE}:
            missing = await asyncio.to_thread(probe_sandbox, self._data, bwrap)
        if not self._settings.overlay:
            missing.setdefault("overlay", "switched off by the settings")
        use_hub = "sandbox" not in missing and wanted in {"", Mode.POD_NETWORK}
        reason = await self._network.start(hub=use_hub)
        if not use_hub and "sandbox" not in missing:
            reason = "switched off by the settings"
        self._found = decide(
            bwrap=bwrap, missing=missing, network_reason=reason, cgroups=self._cgroups, plain=wanted == Mode.PROCESS
        )
        if self._found.mode is Mode.NONE:
            log.warning("%s", self._found.describe())
        else:
            log.info("pods run as %s", self._found.describe())

    def _prepare_shared(self) -> Node:
        if self._found is None or self._cgroups is None:
            raise RuntimeError("_probe comes first")
        self._images = ImageStore(
            self._data / "images", sources=self._pull, platform=local_platform(), clock=self._clock
        )
        machine = Machine(
            isolation=self._found,
            cgroups=self._cgroups,
            images=self._images,
            clock=self._clock,
            new_container_id=self._new_container_id,
        )
        return Node(
            client=self._client,
            machine=machine,
            network=self._network,
            events=self._events,
            tokens=self._tokens,
            allocatable=read_capacity(self._data),
            services=self._services.in_namespace,
            pods=self._data / "pods",
            memory=self._memory.path if self._memory is not None else None,
            logs=self._data / "logs",
        )

    def _make_router(self) -> ServiceRouter:
        network = self._network
        router = ServiceRouter(
            RouterPorts(
                client=self._client,
                find_service=lambda key: self._services.find(NamespacedName(*key)),
                slices=self._slices.in_namespace,
                connect=network.connect_endpoint,
                loopback_of=network.loopback_of,
                listen_in_hub=network.listen_in_hub if network.has_hub else None,
            )
        )
        network.on_reset = partial(self._reset_router, router)
        return router

    def _reset_router(self, router: ServiceRouter) -> None:
        self._background.run_once("services", router.reset)

    async def _register(self) -> None:
        isolation = self._found
        if isolation is None:
            raise RuntimeError("_probe comes first")
        wanted = prepare_node(self.node_name, isolation)
        options = WriteOptions(field_manager=FIELD_MANAGER)
        try:
            node = await self._client.get(NODE, self.node_name)
        except ApiNotFoundError:
            with contextlib.suppress(AlreadyExistsError):
                await self._client.create(wanted, options)
            node = await self._client.get(NODE, self.node_name)
        status = prepare_status(
            isolation,
            addresses={"InternalIP": HOST_IP, "Hostname": self.node_name},
            capacity=read_capacity(self._data),
            node_info=read_node_info(isolation),
            previous=node,
            now=self._clock.now(),
        )
        metadata = {key: wanted["metadata"][key] for key in ("labels", "annotations")}
        if any(metadata_of(node).get(key, {}).get(k) != v for key in metadata for k, v in metadata[key].items()):
            await self._client.patch(NODE, self.node_name, "", Patch(PatchType.MERGE, {"metadata": metadata}), options)
        if node.get("status") != status:
            body = Patch(PatchType.MERGE, {"status": status})
            status_options = WriteOptions(field_manager=FIELD_MANAGER, subresource="status")
            await self._client.patch(NODE, self.node_name, "", body, status_options)

    def _on_pod(self, before: Object | None, after: Object | None) -> None:
        if before is not None and (after is None or uid_of(after) != uid_of(before)):
            worker = self._workers.get(uid_of(before))
            if worker is not None:
                worker.gone()
        if after is None or find_path(after, "spec", "nodeName") != self.node_name:
            return
        worker = self._workers.get(uid_of(after))
        if worker is not None:
            worker.update(after)
        else:
            self._begin(after)

    def _begin(self, pod: Object) -> None:
        if self._node is None or self._images is None:
            return
        uid = uid_of(pod)
        place = self._places[uid] = Place(pod, self._node)
        worker = self._workers[uid] = PodWorker(
            pod, place, client=self._client, images=self._images, events=self._events, clock=self._clock
        )
        name = f"pod {namespace_of(pod)}/{name_of(pod)}"
        task = self._background.run_once(name, worker.run)
        self._tasks[uid] = task
        task.add_done_callback(lambda _: self._ended(uid))

    def _ended(self, uid: str) -> None:
        self._tasks.pop(uid, None)
        if self._closing:
            return  # a worker that was cancelled with the agent still has containers to stop
        self._workers.pop(uid, None)
        self._places.pop(uid, None)
        images = self._images
        if images is not None:
            self._background.run_once("image pruning", lambda: self._prune(images))

    async def _prune(self, images: ImageStore) -> None:
        statuses = [
            status
            for pod in self._pods
            for field in ("containerStatuses", "initContainerStatuses")
            for status in find_path(pod, "status", field) or []
        ]
        await images.prune({status.get("imageID") or "" for status in statuses})

    def _on_service(self, before: Object | None, after: Object | None) -> None:
        obj = after or before
        if obj is not None and self._router is not None:
            self._router.changed(ServiceKey(*namespaced_name(obj)))
            self._network.names_changed()

    def _on_slice(self, before: Object | None, after: Object | None) -> None:
        obj = after or before
        if obj is not None and labels_of(obj).get(SERVICE_NAME_LABEL):
            self._network.names_changed()

    def _on_config(self, namespace: str, key: ConfigKey) -> None:
        for worker in self._workers.values():
            if (namespace, key) == EVERYTHING or (
                namespace_of(worker.pod) == namespace
                and (key in referenced(worker.pod) or _is_pull_secret(worker.pod, key))
            ):
                worker.referred_changed()


def _is_pull_secret(pod: Object, key: ConfigKey) -> bool:
    # A pod without pull secrets of its own uses its service account's, whose names are not in the pod.
    own = {entry.get("name") for entry in find_path(pod, "spec", "imagePullSecrets") or []}
    return key.kind == "Secret" and (not own or key.name in own)
