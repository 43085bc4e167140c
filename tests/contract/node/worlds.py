"""What a contract test of a node acts on: a client, a namespace of its own, and a registry with the images it needs.

The image `lab/app:v1` is built by Towpath's own builder on the base `host`; its program does what its arguments say.
Images of `lab` are private: `reader` may pull them, `stranger` is known and may not.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.registry import password
from towpath.aio.clock import SystemClock
from towpath.blueprint.model import Service
from towpath.build.builder import Builder
from towpath.build.host_base import host_platform
from towpath.build.image import BuildRequest
from towpath.kube.objects import GVK, Object, find_path
from towpath.kube.requests import DeleteOptions, EventType, WriteOptions
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.reconcile.ports import ResourceClient

POD = GVK("", "v1", "Pod")
EVENT = GVK("", "v1", "Event")
SECRET = GVK("", "v1", "Secret")
OPTIONS = WriteOptions(field_manager="contract")
# A back-off of ten seconds on a machine that does other things too.
PATIENCE_SECONDS = 180.0
BUILT, DAMAGED = "lab/app:v1", "lab/damaged:v1"

PROGRAM = """
import http.server, os, pathlib, signal, sys, time
todo, *words = sys.argv[1:] or ["serve"]
print(todo, *words, os.environ.get("GREETING", ""), flush=True)
if todo == "exit":
    if len(words) > 1:
        pathlib.Path("/dev/termination-log").write_text(words[1])
    sys.exit(int(words[0]))
if todo == "hog":
    hog = bytearray(200 * 1024 * 1024)
    hog[::4096] = b"x" * len(hog[::4096])
if todo == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    while True:
        time.sleep(60)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = todo == "serve" and self.path != "/sick"
        self.send_response(200 if well else 503)
        self.end_headers()
        self.wfile.write(os.environ.get("GREETING", "").encode())

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Lab:
    """A registry on the loopback, and where it keeps its blobs."""

    host: str
    root: Path

    def image(self, name: str = BUILT) -> str:
        """A reference within it."""
        return f"{self.host}/{name}"

    @property
    def layers(self) -> Path:
        """Where embedded nodes unpack layers, one after the other."""
        directory = self.root.parent / "layers"
        directory.mkdir(exist_ok=True)
        return directory

    def size(self) -> int:
        """The bytes of the built image: its manifest, configuration and layers."""
        return int((self.root.parent / "size").read_text())

    def lost_layer(self) -> str:
        """The digest of the layer of the damaged image whose file is gone."""
        return (self.root.parent / "lost-layer").read_text()


@dataclass
class World:
    """One node, seen through the API; a namespace; a registry."""

    client: ResourceClient
    namespace: str
    node: str
    lab: Lab
    logs: Callable[..., AsyncIterator[bytes]]
    record: Callable[[str, object], None] = field(default=lambda _name, _value: None, repr=False)

    def pod(self, name: str, *arguments: str, container: Object | None = None, **spec: Any) -> Object:
        """A pod bound to the node whose only container does what the arguments say."""
        app: Object = {
            "name": "app",
            "image": self.lab.image(),
            "args": list(arguments),
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            **(container or {}),
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "nodeName": self.node,
                "terminationGracePeriodSeconds": 1,
                "imagePullSecrets": [{"name": "pull"}],
                "containers": [app],
                **spec,
            },
        }

    async def create(self, obj: Object) -> Object:
        """Store an object."""
        return await self.client.create(obj, OPTIONS)

    async def create_secret(self, user: str, *, secret: str = "", name: str = "pull", host: str = "") -> None:
        """A pull secret for the lab's registry."""
        entry = {"username": user, "password": secret or password(user)}
        document = json.dumps({"auths": {host or self.lab.host: entry}}).encode()
        await self.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/dockerconfigjson",
                "metadata": {"name": name, "namespace": self.namespace},
                "data": {".dockerconfigjson": base64.b64encode(document).decode()},
            }
        )

    async def replace_secret(self, user: str, *, name: str = "pull") -> None:
        """The pull secret with the right password."""
        await self.client.delete(SECRET, name, self.namespace, DeleteOptions())
        await self.create_secret(user, name=name)

    async def wait_for(self, name: str, reached: Callable[[Object], bool]) -> Object:
        """The pod, once it is as wanted; every change of it is looked at."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self.client.watch(POD, self.namespace, fields=f"metadata.name={name}"):
                if event.type in {EventType.ADDED, EventType.MODIFIED} and reached(event.object):
                    return event.object
        raise AssertionError(f"the watch of {name} ended")

    async def events(self, name: str) -> list[tuple[str, str, str]]:
        """Type, reason and message of each event about a pod, oldest first."""
        found = (await self.client.list(EVENT, self.namespace)).items
        about = [one for one in found if one["involvedObject"]["name"] == name]
        about.sort(key=lambda one: (one.get("firstTimestamp") or "", one["metadata"]["resourceVersion"]))
        return [(one["type"], one["reason"], one["message"]) for one in about]

    async def wait_for_event(self, name: str, reason: str, text: str = "") -> str:
        """The message of the first event about a pod with this reason and text."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self.client.watch(EVENT, self.namespace):
                one = event.object
                if (one.get("involvedObject") or {}).get("name") == name and one["reason"] == reason:
                    message: str = one["message"]
                    if text in message:
                        return message
        raise AssertionError(f"the watch of events about {name} ended")

    async def create_config_map(self, name: str, data: dict[str, str]) -> None:
        """A ConfigMap of this namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        await self.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    async def delete_pod(self, name: str) -> Object:
        """Delete a pod with its own grace period, wait until it is gone, and return its last state."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self.client.watch(POD, self.namespace, fields=f"metadata.name={name}"):
                if event.type is EventType.ADDED:  # so the watch has begun
                    await self.client.delete(POD, name, self.namespace, DeleteOptions())
                if event.type is EventType.DELETED:
                    return event.object
        raise AssertionError(f"the watch of {name} ended")

    async def wait_for_log(self, name: str, text: str) -> None:
        """Wait until the log of a pod's only container is this."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.log(name) != text:  # noqa: ASYNC110 - nobody tells of what is written to a log
                await asyncio.sleep(0.05)

    async def log(self, name: str, **options: Any) -> str:
        """The log of a pod's only container."""
        return b"".join([piece async for piece in self.logs(self.namespace, name, "app", **options)]).decode()


def status_of(pod: Object) -> Object:
    """The status of the first container; empty before there is one."""
    statuses = find_path(pod, "status", "containerStatuses") or [{}]
    first: Object = statuses[0]
    return first


def waiting(pod: Object) -> Object:
    """Why the first container waits; empty if it does not."""
    found: Object = find_path(status_of(pod), "state", "waiting") or {}
    return found


def waits_for(*reasons: str) -> Callable[[Object], bool]:
    """Whether the first container waits for one of these reasons."""
    return lambda pod: waiting(pod).get("reason") in reasons


def terminated(pod: Object) -> Object:
    """How the first container ended; empty if it has not."""
    found: Object = find_path(status_of(pod), "state", "terminated") or {}
    return found


def has_ended(pod: Object) -> bool:
    """Whether nothing of the pod runs any more."""
    return find_path(pod, "status", "phase") in {"Succeeded", "Failed"}


def condition(pod: Object, kind: str) -> Object:
    """A condition of the pod; empty when there is none."""
    conditions = find_path(pod, "status", "conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def is_ready(pod: Object) -> bool:
    """Whether the pod is ready."""
    return condition(pod, "Ready").get("status") == "True"


async def fill(lab_host: str, directory: Path) -> None:
    """Build the image, and push it under its names."""
    client = RegistryClient(keyring=Keyring.of({lab_host: Credential("admin", password("admin"))}))
    builder = Builder(cache=directory / "cache", registry=client, clock=SystemClock())
    try:
        for name, program in ((BUILT, PROGRAM), (DAMAGED, f"{PROGRAM}\n# of its own\n")):
            service = directory / name.replace(":", "-")
            service.mkdir(parents=True)
            (service / "main.py").write_text(program)
            image = await builder.build(
                BuildRequest(
                    service=Service("app", "services/app"),
                    context=service,
                    commit="0123456789abcdef0123456789abcdef01234567",
                    tree_id="",
                    source_url="",
                    committed_at=1_700_000_000.0,
                    tag="sha-0123456",
                    platform=host_platform(),
                )
            )
            await builder.push(image, Reference.parse(f"{lab_host}/{name}"))
            if name == DAMAGED:
                lost = image.layers[-1].descriptor.digest
                (directory / "registry" / "blobs" / "sha256" / lost.hex[:2] / lost.hex).unlink()
                (directory / "lost-layer").write_text(lost.hex)
            else:
                layers = sum(layer.descriptor.size for layer in image.layers)
                (directory / "size").write_text(str(layers + len(image.config_raw) + len(image.manifest_raw)))
    finally:
        await client.close()
