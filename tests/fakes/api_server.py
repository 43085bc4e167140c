"""The Kubernetes façade over an embedded kernel, on a real TLS socket, with a kubeconfig; no node runs the pods."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from towpath.aio.clock import SystemClock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.facade.app import create_facade
from towpath.cluster.facade.authentication import Authenticator
from towpath.cluster.facade.kubeconfig import format_kubeconfig, write_kubeconfig
from towpath.cluster.facade.openapi import OpenApi
from towpath.cluster.kernel import Kernel
from towpath.cluster.tokens import ServiceAccountTokens
from towpath.http.certificates import ensure_certificates
from towpath.http.server import Listener
from towpath.kube.schema import Schema

ADMIN_TOKEN = "the-token-of-the-tests"


@dataclass
class RecordedLogs:
    """Serves the lines a test has put in, by pod name."""

    lines: dict[str, list[bytes]] = field(default_factory=dict)

    async def logs(self, namespace: str, pod: str, container: str, **options: object) -> AsyncIterator[bytes]:
        """The lines of a pod; options are ignored."""
        del namespace, container, options
        for line in self.lines.get(pod, []):
            yield line


@dataclass
class ApiServer:
    """A running server."""

    kernel: Kernel
    client: EmbeddedClient
    logs: RecordedLogs
    tokens: ServiceAccountTokens
    kubeconfig: Path
    url: str


@asynccontextmanager
async def running_api_server(directory: Path) -> AsyncIterator[ApiServer]:
    """A server until the block ends."""
    clock = SystemClock()
    certificates = ensure_certificates(directory / "pki", names=["127.0.0.1", "localhost"], now=clock.now())
    kernel = Kernel.open(
        directory / "cluster",
        clock=clock,
        new_uid=lambda: str(uuid.uuid4()),
        cluster_ca=certificates.authority_bytes(),
    )
    client = EmbeddedClient(kernel)
    tokens = ServiceAccountTokens(b"signing key of the tests", clock=clock)
    logs = RecordedLogs()
    facade = create_facade(
        kernel,
        authenticator=Authenticator(admin_token=ADMIN_TOKEN, tokens=tokens, client=client),
        logs=logs,
        openapi=OpenApi(Schema.load(files("towpath.kube").joinpath("schema.json.gz").read_bytes())),
        clock=clock,
    )
    listener = Listener(facade, certificate=certificates.certificate, key=certificates.key, grace_seconds=0.1)
    await listener.start()
    kubeconfig = directory / "kubeconfig"
    write_kubeconfig(
        kubeconfig,
        format_kubeconfig(
            name="tests", server=listener.url, authority=certificates.authority_bytes(), token=ADMIN_TOKEN
        ),
    )
    try:
        yield ApiServer(kernel, client, logs, tokens, kubeconfig, listener.url)
    finally:
        kernel.close()
        await listener.close()
