"""A kernel, a node agent and a fake registry, for tests that run real processes in real sandboxes.

The image `registry.test/app:v1` holds the running interpreter and starts `/app/main.py`; its layer is built once per
test process and kept unpacked in a directory shared by the worlds of that process.
"""

import asyncio
import itertools
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fakes.images import FakeRegistry, make_interpreter_layer, make_layer
from towpath.aio.clock import Clock, SystemClock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.kernel import Kernel
from towpath.cluster.node.agent import NodeAgent
from towpath.cluster.node.pod.tokens import TokenIssuer
from towpath.cluster.node.registration import local_platform
from towpath.cluster.node.settings import NodeSettings
from towpath.kube.objects import GVK, Object, find_path
from towpath.kube.requests import DeleteOptions, EventType, WriteOptions
from towpath.oci.image import ImageConfig

POD = GVK("", "v1", "Pod")
IMAGE = "registry.test/app:v1"
OPTIONS = WriteOptions(field_manager="test")
NODE = "node-1"
# Far above what a loaded machine needs; a test that waits this long has failed.
PATIENCE_SECONDS = 60.0

SERVER = b"""
import http.server, os, pathlib, signal, sys
print("serving on", os.environ.get("POD_IP"), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/file"):
            path = pathlib.Path(self.path.removeprefix("/file"))
            body = path.read_bytes() if path.exists() else b"absent"
        elif self.path == "/env":
            body = "\\n".join(f"{k}={v}" for k, v in sorted(os.environ.items())).encode()
        else:
            body = os.environ["HOSTNAME"].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((os.environ.get("BIND") or os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


@dataclass
class RecordedEvents:
    """Satisfies `pod.recorder.EventSink`."""

    said: list[tuple[str, str]] = field(default_factory=list)

    def normal(self, involved: Object, reason: str, message: str, *, field_path: str = "") -> None:  # noqa: ARG002
        self.said.append((reason, message))

    def warning(self, involved: Object, reason: str, message: str, *, field_path: str = "") -> None:  # noqa: ARG002
        self.said.append((reason, message))

    def messages(self, reason: str) -> list[str]:
        """What was said with a reason."""
        return [message for said, message in self.said if said == reason]


@dataclass
class NodeWorld:
    """What a test works with."""

    directory: Path
    kernel: Kernel
    client: EmbeddedClient
    registry: FakeRegistry
    events: RecordedEvents
    agent: NodeAgent
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def create(self, obj: Object) -> Object:
        """Store an object."""
        return await self.client.create(obj, OPTIONS)

    async def run_pod(self, name: str, **changes: Any) -> Object:
        """Create a pod bound to the node and return it when it is ready."""
        await self.create(make_pod(name, **changes))
        return await self.wait_for(name, is_ready)

    async def wait_for(self, name: str, reached: Callable[[Object], bool]) -> Object:
        """The pod, once it is as wanted."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self.client.watch(POD, "default", fields=f"metadata.name={name}"):
                if event.type is not EventType.DELETED and reached(event.object):
                    return event.object
        raise AssertionError(f"the watch of {name} ended")

    async def delete_pod(self, name: str, grace: int | None = None) -> Object:
        """Delete a pod, wait until it is gone, and return its last state."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            watch = self.client.watch(POD, "default", fields=f"metadata.name={name}")
            await self.client.delete(POD, name, "default", DeleteOptions(grace_period_seconds=grace))
            async for event in watch:
                if event.type is EventType.DELETED:
                    return event.object
        raise AssertionError(f"the watch of {name} ended")

    async def get(self, pod: Object, path: str, port: int = 8080) -> str:
        """What the pod's server answers."""
        return await self.get_at(find_path(pod, "status", "podIP"), port, path)

    async def get_at(self, host: str, port: int, path: str = "/") -> str:
        """What a server answers, asked from where the node asks."""
        connected = await self.agent.network.connect(host, port)
        reader, writer = await asyncio.open_connection(sock=connected)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
        finally:
            writer.close()
            await writer.wait_closed()
        return answer.partition(b"\r\n\r\n")[2].decode()

    async def log(self, name: str, **options: Any) -> str:
        """The log of a pod's only container."""
        return b"".join([piece async for piece in self.agent.logs("default", name, **options)]).decode()


@cache
def interpreter_layer() -> bytes:
    """The running interpreter as a layer."""
    return make_interpreter_layer()


@cache
def _template() -> FakeRegistry:
    registry = FakeRegistry()
    add_image(registry, IMAGE, SERVER)
    return registry


def filled_registry() -> FakeRegistry:
    """A registry with the test image."""
    return FakeRegistry(images=dict(_template().images), blobs=dict(_template().blobs))


@cache
def _shared_images() -> Path:
    # Unpacking the interpreter takes a second; the worlds of one test process share it.
    return Path(tempfile.mkdtemp(prefix="towpath-test-images-"))


def image_config(**changes: Any) -> ImageConfig:
    """The configuration of the test image."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "")
    env = {"PATH": "/usr/bin:/bin", **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
    settings = {"entrypoint": ("python", "-S", "/app/main.py"), "env": env, "working_dir": "/app", "user": "1000"}
    return ImageConfig(local_platform(), **{**settings, **changes})


def add_image(registry: FakeRegistry, text: str, program: bytes, **changes: Any) -> None:
    """Push an image that runs a program of a few lines."""
    layers = [interpreter_layer(), make_layer({"app/main.py": program})]
    registry.add(text, layers, image_config(**changes))


def make_pod(name: str, *, container: Object | None = None, **spec: Any) -> Object:
    """A pod bound to the node; by default it serves on 8080 and has a readiness probe."""
    app = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
    }
    app = {name: value for name, value in {**app, **(container or {})}.items() if value is not None}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "app"}},
        "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 2, "containers": [app], **spec},
    }


def command(program: str, **changes: Any) -> Object:
    """Changes to the container that make it run a program instead of serving."""
    return {"command": ["python", "-S", "-c", program], "readinessProbe": None, **changes}


def is_ready(pod: Object) -> bool:
    """Whether the Ready condition is true."""
    conditions = {c["type"]: c["status"] for c in find_path(pod, "status", "conditions") or []}
    return conditions.get("Ready") == "True"


def container_status(pod: Object) -> Object:
    """The status of the first container; empty before there is one."""
    statuses = find_path(pod, "status", "containerStatuses") or [{}]
    first: Object = statuses[0]
    return first


def waiting_reason(pod: Object) -> str:
    """Why the first container waits; "" if it does not."""
    return str(find_path(container_status(pod), "state", "waiting", "reason") or "")


def phase_is(*phases: str) -> Callable[[Object], bool]:
    """Whether the pod is in one of these phases."""
    return lambda pod: find_path(pod, "status", "phase") in phases


@asynccontextmanager
async def node_world(
    directory: Path,
    *,
    isolation: str = "",
    overlay: bool = True,
    clock: Clock | None = None,
    registry: FakeRegistry | None = None,
    tokens: TokenIssuer | None = None,
    api_port: int = 7443,
) -> AsyncIterator[NodeWorld]:
    """A running node; everything ends with the block."""
    clock = clock or SystemClock()
    kernel = Kernel.open(directory / "store", clock=clock, new_uid=lambda: str(uuid.uuid4()))
    client = EmbeddedClient(kernel)
    if registry is None:
        registry = filled_registry()
    events = RecordedEvents()
    data = directory / "node"
    data.mkdir(exist_ok=True)
    if not (data / "images").exists():
        (data / "images").symlink_to(_shared_images())
    agent = NodeAgent(
        client,
        data=data,
        clock=clock,
        pull=registry.source,
        events=events,
        settings=NodeSettings(node_name=NODE, isolation=isolation, overlay=overlay, api_port=api_port),
        tokens=tokens,
    )
    try:
        await agent.start()
        yield NodeWorld(directory, kernel, client, registry, events, agent)
    finally:
        await agent.close()
        kernel.close()
