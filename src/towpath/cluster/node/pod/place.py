"""A pod's share of the machine: directories, network, volumes, and what its containers refer to.

Satisfies `worker.PodPlace`. Everything here is fetched from the API when it is needed; nothing but files of running
containers is kept on disk, so an agent that comes back needs the API alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from towpath.cluster.node.image.layers import remove_tree
from towpath.cluster.node.image.policy import pull_secret_names, read_keyring
from towpath.cluster.node.network.cluster_network import AttachedPod, ClusterNetwork
from towpath.cluster.node.pod.environment import Surroundings, service_environment
from towpath.cluster.node.pod.recorder import EventSink
from towpath.cluster.node.pod.references import SECRET, fetch_config
from towpath.cluster.node.pod.runtime import Machine, PodRuntime
from towpath.cluster.node.pod.tokens import PodTokens, TokenIssuer
from towpath.cluster.node.pod.volumes import PodVolumes, VolumeContext, with_service_account
from towpath.cluster.node.sandbox.launcher import SandboxError
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object, find_path, name_of, namespace_of, uid_of
from towpath.oci.keyring import Keyring

SERVICE_ACCOUNT = GVK("", "v1", "ServiceAccount")


class ObjectGetter(Protocol):
    """The one verb needed here."""

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object. Raises ApiNotFoundError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What all pods of the node share."""

    client: ObjectGetter
    machine: Machine
    network: ClusterNetwork
    events: EventSink
    tokens: TokenIssuer | None
    allocatable: Mapping[str, str]
    services: Callable[[str], Iterable[Object]]  # of a namespace
    pods: Path
    memory: Path | None  # on a tmpfs
    logs: Path


class Place:
    """One pod's share."""

    def __init__(self, pod: Object, node: Node) -> None:
        self._pod = pod
        self._node = node
        self._directory = node.pods / uid_of(pod)
        memory = node.memory / uid_of(pod) if node.memory is not None else None
        self._volumes = PodVolumes(self._directory, memory)
        self._attached: AttachedPod | None = None
        self._complete = pod
        self._tokens: PodTokens | None = None
        self._runtime: PodRuntime | None = None
        self.logs = log_directory(node.logs, pod)

    async def set_up(self) -> str:
        """Make everything its containers need; the pod's IP. Raises TowpathError, OSError; safe to repeat."""
        self._node.machine.isolation.require_pods()
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._attached is None:
            self._attached = await self._node.network.attach(self._pod, self._directory)
        account = await self._find(SERVICE_ACCOUNT, find_path(self._pod, "spec", "serviceAccountName") or "default")
        issuer = self._node.tokens
        if issuer is not None and account is not None and self._tokens is None:
            self._tokens = PodTokens(issuer, account_uid=uid_of(account), clock=self._node.machine.clock)
        self._complete = with_service_account(self._pod, account if issuer is not None else None)
        await self.refresh()
        self._runtime = PodRuntime(
            self._complete,
            self._node.machine,
            directory=self._directory,
            logs=self.logs,
            network=self._attached,
            volumes=self._volumes,
            surroundings=self._surroundings,
        )
        return self._attached.address

    async def refresh(self) -> None:
        """Bring volumes up to date with what they show. Raises MountError."""
        config = await fetch_config(self._node.client, self._complete)
        context = VolumeContext(config=config, tokens=self._tokens, allocatable=self._node.allocatable)
        self._volumes.prepare(self._addressed(), context)

    @property
    def runtime(self) -> PodRuntime:
        """Starts its containers. Raises SandboxError before it is set up."""
        if self._runtime is None:
            raise SandboxError("pod is not set up (Order)")
        return self._runtime

    @property
    def found_runtime(self) -> PodRuntime | None:
        """The same, or None before it is set up."""
        return self._runtime

    async def keyring(self) -> Keyring:
        """The pull secrets of the pod as they are at this moment."""
        account = await self._find(SERVICE_ACCOUNT, find_path(self._pod, "spec", "serviceAccountName") or "default")
        secrets, missing = [], []
        for name in pull_secret_names(self._pod, account):
            secret = await self._find(SECRET, name)
            if secret is None:
                missing.append(name)
            else:
                secrets.append(secret)
        keyring, problems = read_keyring(secrets)
        if missing or problems:
            # Upstream says nothing of secrets that cannot be read, and names those that are not there so.
            text = f"Unable to retrieve some image pull secrets ({', '.join([*missing, *problems])}); "
            text += "attempting to pull the image may not succeed."
            self._node.events.warning(self._pod, "FailedToRetrieveImagePullSecret", text)
        return keyring

    async def tear_down(self) -> None:
        """Give everything back."""
        if self._runtime is not None:
            self._runtime.close()
        await self._node.network.detach(self._pod)
        self._volumes.remove()
        remove_tree(self._directory)
        remove_tree(self.logs)

    async def _surroundings(self) -> Surroundings:
        network, pod = self._node.network, self._pod
        services = list(self._node.services(namespace_of(pod)))
        variables = service_environment(
            services,
            links=find_path(pod, "spec", "enableServiceLinks") is not False,
            api=network.api_address_for(pod),
            address_of={name_of(service): network.service_address(service, pod) for service in services},
        )
        config = await fetch_config(self._node.client, pod)
        return Surroundings(
            pod=self._addressed(), config=config, allocatable=self._node.allocatable, services=variables
        )

    def _addressed(self) -> Object:
        """The pod with its addresses, which its object may not show yet."""
        if self._attached is None:
            return self._complete
        host = "127.0.0.1"
        status = {**(self._complete.get("status") or {}), "podIP": self._attached.address, "hostIP": host}
        return {**self._complete, "status": status}

    async def _find(self, gvk: GVK, name: str) -> Object | None:
        try:
            return await self._node.client.get(gvk, name, namespace_of(self._pod))
        except ApiNotFoundError:
            return None


def log_directory(logs: Path, pod: Object) -> Path:
    """Where the logs of a pod are: the kubelet's naming."""
    return logs / f"{namespace_of(pod)}_{name_of(pod)}_{uid_of(pod)}"
