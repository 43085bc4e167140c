"""An outside cluster: k3s, or any Kubernetes, spoken to by `kubeclient`; the second adapter of `runtime.Cluster`.

Nothing is started or stopped there. A cluster that does not answer is no reason not to start: pushes are taken and
built, and the reconciler tries for ever; the greeting and `doctor` say so.
"""

import asyncio
import logging
import os
import socket
import ssl
from urllib.parse import urlsplit

from towpath.aio.clock import Clock
from towpath.errors import RemoteError, UserError
from towpath.http.client import HttpClient, Request, Route
from towpath.http.hosts import is_loopback, is_loopback_host
from towpath.kube.errors import ApiError, ForbiddenError
from towpath.kube.objects import GVK, Object, ObjectKey, find_path, name_of
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import SERVICE_ACCOUNT_DIRECTORY, find_in_cluster_target, load_target
from towpath.oci.platform import Platform
from towpath.server.doctor import OK, PROBLEM, Check
from towpath.server.nearness import NodeFacts, judge_architectures, judge_registry
from towpath.server.runtime import RuntimeFacts
from towpath.server.settings import OutsideCluster as Choice

log = logging.getLogger(__name__)
NODE = GVK("", "v1", "Node")
# A cluster in the house answers within a tenth; whoever waits for the start is told soon.
ANSWER_SECONDS = 5.0


def find_target(choice: Choice) -> Target:
    """The cluster that is meant. Raises KubeconfigError, UserError."""
    if choice.kubeconfig is not None:
        return load_target(choice.kubeconfig, context=choice.context, environ={})
    inside = find_in_cluster_target(os.environ, SERVICE_ACCOUNT_DIRECTORY)
    if inside is None:
        raise UserError(
            "no Kubernetes cluster is named (NotFound): this is no pod with a service account",
            hint="name a kubeconfig with --kubeconfig FILE",
        )
    return inside


class OutsideCluster:
    """A cluster that is not ours."""

    def __init__(
        self,
        target: Target,
        *,
        in_pod: bool,
        built_for: Platform,
        plain_http: bool,
        clock: Clock,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            target: which cluster, and as whom.
            in_pod: whether this process is a pod of it.
            built_for: what images are built for.
            plain_http: whether nodes are to speak plain HTTP to our registry.
            clock: paces retries.
            trust: whom nodes are to trust where the registry's certificate is of our own authority.

        Raises:
            KubeconfigError: a certificate of the target cannot be read.
        """
        self._target = target
        self._in_pod = in_pod
        self._built_for = built_for
        self._plain_http = plain_http
        self._clock = clock
        self._trust = trust
        self._version = ""
        self.client = KubernetesClient(target, clock=clock, on_warning=_log_warning)
        self.logs = self.client

    @property
    def facts(self) -> RuntimeFacts:
        """Version and address."""
        server = self._target.cluster.server
        said = f"Kubernetes {self._version}" if self._version else "Kubernetes, which does not answer,"
        return RuntimeFacts(server, f"{said} at {server}, context {self._target.name}", is_ours=False)

    async def start(self, *, name: str) -> None:
        """Ask which version it is."""
        problem = await self._greet()
        if problem:
            log.warning("%s: the cluster at %s is tried for ever: %s", name, self._target.cluster.server, problem)

    async def examine(self, registry: str) -> list[Check]:
        """Whether it answers, and whether its nodes can get images from us."""
        problem = await self._greet()
        if problem:
            return [Check("cluster", PROBLEM, problem, "check the kubeconfig and the network")]
        checks = [Check("cluster", OK, self.facts.summary)]
        if not registry:
            return checks
        nodes = await self._find_nodes()
        server = self._target.cluster.server
        plain = self._plain_http
        found = judge_registry(
            registry,
            server=server,
            server_is_here=_is_here(urlsplit(server).hostname or ""),
            nodes=nodes,
            in_pod=self._in_pod,
            plain=plain,
        )
        if found.state == OK and not is_loopback(registry):
            found = await self._try_registry(registry, found)
        return [*checks, found, *judge_architectures(nodes or (), built=self._built_for.architecture)]

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()

    def release(self) -> None:
        """Nothing was opened."""

    async def _greet(self) -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._version = str((await self.client.version()).get("gitVersion") or "")
        except ApiError as error:
            return error.message
        except TimeoutError:
            return f"{self._target.cluster.server} does not answer within {ANSWER_SECONDS:g} s"
        return ""

    async def _find_nodes(self) -> list[NodeFacts] | None:
        """The nodes; None when we may not know them, which least rights do not include."""
        try:
            return [_node_facts(node) for node in (await self.client.list(NODE)).items]
        except ForbiddenError:
            return None
        except ApiError as error:
            log.warning("nodes cannot be listed: %s", error.message)
            return None

    async def _try_registry(self, registry: str, good: Check) -> Check:
        """What nodes will meet, tried from here: it is the same address, though not the same machine."""
        url = f"{'http' if self._plain_http else 'https'}://{registry}/v2/"
        client = HttpClient(timeout_seconds=ANSWER_SECONDS, attempts=1, clock=self._clock, route=Route(self._trust))
        try:
            async with await client.send(Request("GET", url)) as response:
                answered = response.status in {200, 401}
                evidence = f"{url} answered {response.status}, which is not a registry's answer"
        except RemoteError as error:
            answered, evidence = False, error.message
        finally:
            await client.close()
        step = "check --advertise, the port and the firewall; nodes meet the same (docs/kubernetes.md)"
        return good if answered else Check(good.check, PROBLEM, evidence, step)


def _node_facts(node: Object) -> NodeFacts:
    addresses = tuple(
        str(one.get("address"))
        for one in find_path(node, "status", "addresses") or []
        if one.get("type") in {"InternalIP", "ExternalIP"}
    )
    architecture = str(find_path(node, "status", "nodeInfo", "architecture") or "")
    return NodeFacts(name_of(node), architecture, addresses, any(_is_here(address) for address in addresses))


def _is_here(host: str) -> bool:
    """Whether an address is one of this machine's: only those can be bound."""
    if is_loopback_host(host):
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:  # another machine's, or a name
        return False
    return True


def _log_warning(key: ObjectKey, warning: str) -> None:
    log.info("%s: the API server warns: %s", key, warning)
