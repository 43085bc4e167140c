"""The embedded cluster: kernel, controllers, node and façade, started in the order in which they need each other.

One of the two adapters of `runtime.Cluster`; the other is `outside`.
"""

import ssl
from importlib.resources import files

from towpath.aio.clock import Clock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.controllers import Controllers
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.facade.app import create_facade
from towpath.cluster.facade.authentication import Authenticator
from towpath.cluster.facade.kubeconfig import format_kubeconfig, write_kubeconfig
from towpath.cluster.facade.openapi import OpenApi
from towpath.cluster.kernel import Kernel
from towpath.cluster.node.agent import NodeAgent
from towpath.cluster.node.registration import local_node_name
from towpath.cluster.node.sandbox.isolation import SANDBOX_HINT
from towpath.cluster.node.settings import NodeSettings
from towpath.cluster.tokens import ServiceAccountTokens
from towpath.http.certificates import ensure_certificates
from towpath.http.server import Listener
from towpath.kube.schema import Schema
from towpath.ociclient.client import RegistryClient
from towpath.server.credentials import Credentials
from towpath.server.doctor import OK, PROBLEM, WARNING, Check
from towpath.server.identifiers import new_uid, random_suffix
from towpath.server.runtime import RuntimeFacts
from towpath.server.settings import Settings


class EmbeddedCluster:
    """One cluster of one node."""

    def __init__(
        self, settings: Settings, credentials: Credentials, *, clock: Clock, trust: ssl.SSLContext | None = None
    ) -> None:
        """Open the store and prepare the rest; images are pulled from whom `trust` says (None: as the system does).

        Raises ConflictError, IntegrityError, OSError.
        """
        directory = settings.state / "cluster"
        node_settings = NodeSettings(api_host=settings.host, api_port=settings.kube_port, isolation=settings.isolation)
        names = ["127.0.0.1", "localhost", settings.host, "kubernetes", "kubernetes.default"]
        names += ["kubernetes.default.svc", "kubernetes.default.svc.cluster.local", node_settings.api_cluster_ip]
        self._settings = settings
        self._credentials = credentials
        self._certificates = ensure_certificates(directory / "pki", names=list(dict.fromkeys(names)), now=clock.now())
        authority = self._certificates.authority_bytes()
        self.kernel = Kernel.open(directory / "store", clock=clock, new_uid=new_uid, cluster_ca=authority)
        self.client = EmbeddedClient(self.kernel)
        tokens = ServiceAccountTokens(credentials.signing_key.encode(), clock=clock)
        self._controllers = Controllers(self.client, clock=clock, random_suffix=random_suffix)
        self._events = EventRecorder(self.client, clock=clock)
        self.node = NodeAgent(
            self.client,
            data=directory / "node",
            clock=clock,
            pull=lambda keyring: RegistryClient(
                keyring=keyring, plain_http=settings.speaks_plain_http, trust=trust, clock=clock
            ),
            events=self._events.source("kubelet", host=local_node_name()),
            settings=node_settings,
            tokens=tokens,
        )
        schema = Schema.load(files("towpath.kube").joinpath("schema.json.gz").read_bytes())
        facade = create_facade(
            self.kernel,
            authenticator=Authenticator(admin_token=credentials.admin_token, tokens=tokens, client=self.client),
            logs=self.node,
            openapi=OpenApi(schema),
            clock=clock,
        )
        self._listener = Listener(
            facade,
            host=settings.host,
            port=settings.kube_port,
            certificate=self._certificates.certificate,
            key=self._certificates.key,
            hosts=["kubernetes.default.svc", node_settings.api_cluster_ip],
            clock=clock,
        )

        self.logs = self.node

    @property
    def facts(self) -> RuntimeFacts:
        """Its address, and how it keeps pods apart."""
        return RuntimeFacts(self._listener.url, self.node.isolation, is_ours=True)

    async def start(self, *, name: str) -> None:
        """Serve, then control, then run pods. Raises ListenError."""
        await self._listener.start()
        content = format_kubeconfig(
            name=name,
            server=self._listener.url,
            authority=self._certificates.authority_bytes(),
            token=self._credentials.admin_token,
        )
        write_kubeconfig(self._settings.state / "kubeconfig", content)
        self._events.start()
        await self._controllers.start()
        await self.node.start()

    async def examine(self, registry: str) -> list[Check]:
        """Whether pods can run, and how well they are kept apart; the node reaches whatever this process serves."""
        del registry
        mode = self.node.isolation
        if mode.startswith("sandbox+podnetwork"):
            return [Check("isolation", OK, mode)]
        if mode.startswith("none"):
            return [Check("isolation", PROBLEM, mode, SANDBOX_HINT)]
        return [Check("isolation", WARNING, mode, "see docs/isolation.md")]

    async def close(self) -> None:
        """Stop pods, controllers and server."""
        await self.node.close()
        await self._controllers.close()
        await self._events.close()
        await self._listener.close()

    def release(self) -> None:
        """Close the store; nothing may ask it any more."""
        self.kernel.close()
