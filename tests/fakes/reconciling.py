"""A reconciler on a whole little cluster: desired states are handed in, everything else is real but time and nodes.

`World.open` gives a running kernel with controllers and a pretend kubelet (`fakes.workloads`); `desire` says what Git
wants; `settle` plays until nothing happens any more.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from fakes.clock import VirtualClock
from fakes.workloads import Workloads
from towpath.errors import NotFoundError, TowpathError
from towpath.kube.objects import Object, key_of
from towpath.reconcile.artifacts import Artifact
from towpath.reconcile.controller import Reconciler
from towpath.reconcile.desired import Desired
from towpath.reconcile.parts import Settings
from towpath.reconcile.ports import ResourceClient
from towpath.reconcile.status import ApplicationStatus
from towpath.reconcile.verdicts import Outcome, Verdict
from towpath.render.images import find_images

REGISTRY = "registry.test/home"
# Turns of the event loop in which the reconciler may still be between two requests.
TURNS = 400


def digest(letter: str) -> str:
    """A digest that is easy to tell from others."""
    return f"sha256:{letter * 64}"


def commit(letter: str) -> str:
    """A commit id that is easy to tell from others."""
    return letter * 40


def healthy_seconds(verdict: Verdict, now: float) -> float:
    """How long a release has been healthy without a break, as the gate counts it; 0 if it is not healthy."""
    return max(0.0, now - verdict.since) if verdict.outcome is Outcome.HEALTHY else 0.0


class DesiredStates:
    """Satisfies `reconcile.desired.DesiredSource`: a table that tests fill."""

    def __init__(self) -> None:
        self.states: dict[str, Desired | TowpathError] = {}
        self.asked = 0

    async def resolve(self, environment: str) -> Desired:
        """What the test said last."""
        self.asked += 1
        await asyncio.sleep(0)
        state = self.states.get(environment)
        if state is None:
            raise NotFoundError(f"environment {environment} has no desired state (NoCommit)")
        if isinstance(state, TowpathError):
            raise state
        return state


class NotesInMemory:
    """Satisfies `reconcile.verdicts.VerdictLog`."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}
        self.failures: list[TowpathError] = []

    async def append_note(self, commit: str, line: str) -> None:
        """Keep a line, or fail as told."""
        if self.failures:
            raise self.failures.pop(0)
        self.lines.setdefault(commit, []).append(line)

    async def all_notes(self) -> dict[str, list[str]]:
        """Every line."""
        return {commit: list(lines) for commit, lines in self.lines.items()}


@dataclass
class Stamps:
    """Satisfies `reconcile.parts.Recorder`."""

    stamped: list[tuple[str, str, str]] = field(default_factory=list)

    def stamp(self, commit: str, stage: str, *, environment: str = "") -> None:
        """Keep it."""
        self.stamped.append((environment, commit[:1], stage))


@dataclass
class Counts:
    """Satisfies `reconcile.parts.Meter`."""

    results: list[tuple[str, str]] = field(default_factory=list)
    drifts: list[str] = field(default_factory=list)
    seconds: float = 0.0
    states: dict[str, tuple[bool, bool]] = field(default_factory=dict)

    def reconciled(self, environment: str, result: str, seconds: float) -> None:
        """Keep the result."""
        self.results.append((environment, result))
        self.seconds += seconds

    def drifted(self, environment: str) -> None:
        """Count it."""
        self.drifts.append(environment)

    def state(self, environment: str, *, synced: bool, healthy: bool) -> None:
        """Keep the last."""
        self.states[environment] = (synced, healthy)


class World:
    """Cluster, reconciler and all they need."""

    def __init__(self, workloads: Workloads, settings: Settings | None) -> None:
        self.workloads = workloads
        self.cluster = workloads.client
        self.clock: VirtualClock = workloads.clock
        self.source = DesiredStates()
        self.notes = NotesInMemory()
        self.stamps = Stamps()
        self.counts = Counts()
        self.settings = settings
        self._uids = count(1)
        self.reconciler = self.new_reconciler()

    @classmethod
    async def open(cls, directory: Path, *, settings: Settings | None = None) -> "World":
        """A running cluster with an idle reconciler; `start` it."""
        return cls(await Workloads.open(directory), settings)

    def new_reconciler(
        self, client: ResourceClient | None = None, *, environments: Iterable[str] = ("dev",)
    ) -> Reconciler:
        """A reconciler that knows nothing, as after a restart."""
        return Reconciler(
            client or self.cluster,
            self.source,
            environments,
            clock=self.clock,
            new_uid=lambda: f"{next(self._uids):016x}",
            notes=self.notes,
            recorder=self.stamps,
            meter=self.counts,
            settings=self.settings,
        )

    async def start(self) -> None:
        """Start the reconciler and let everything come to rest."""
        await self.reconciler.start()
        await self.settle()

    async def restart(self, client: ResourceClient | None = None) -> None:
        """End the reconciler as a crash would, and start another."""
        await self.reconciler.close()
        self.reconciler = self.new_reconciler(client)
        await self.start()

    async def close(self) -> None:
        """End everything."""
        await self.reconciler.close()
        await self.workloads.close()

    def desire(self, *objects: Object, revision: str = "a", environment: str = "dev", **more: object) -> None:
        """What Git wants from now on; artifacts are read off the images of `REGISTRY`."""
        artifacts: dict[str, Artifact] = {}
        for use in find_images(objects):
            name, _, pinned = use.image.partition("@")
            repository, _, tag = name.rpartition(":")
            if repository.startswith(REGISTRY):
                service = repository.rpartition("/")[2]
                built = commit(pinned[-1])
                channel = "" if tag.startswith("sha-") else tag
                artifacts[service] = Artifact(service, use.image, tag, pinned, built, channel, workloads=(use.key,))
        given = Desired(environment, "home", commit(revision), objects, artifacts)
        for name, value in more.items():
            object.__setattr__(given, name, value)
        self.source.states[environment] = given

    async def push(self, *objects: Object, revision: str, environment: str = "dev", **more: object) -> None:
        """Git wants something else: tell the reconciler and let everything come to rest."""
        self.desire(*objects, revision=revision, environment=environment, **more)
        self.reconciler.trigger(environment, "push")
        await self.settle()

    async def settle(self) -> None:
        """Let reconciler, controllers and kubelet come to rest, without time passing."""
        quiet = 0
        while quiet < 2:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            await self.workloads.settle()
            quiet = 0 if await self.workloads.kubelet.step() else quiet + 1

    def status(self, environment: str = "dev") -> ApplicationStatus:
        """How the application stands."""
        return self.reconciler.status(environment)

    async def exists(self, obj: Object) -> bool:
        """Whether an object of that name is stored."""
        return await self.workloads.exists(obj)

    async def writes(self) -> int:
        """The kernel's revision: it grows with every write."""
        return self.workloads.kernel.revision


def sensor_image(letter: str, tag: str = "canary") -> str:
    """An image of the platform's own registry, as it stands in desired objects."""
    return f"{REGISTRY}/sensor:{tag}@{digest(letter)}"


def stateful_set(letter: str = "1", *, replicas: int = 1, name: str = "sensor", image: str = "") -> Object:
    """The sensor fleet at one artifact."""
    container = {"name": "main", "image": image or sensor_image(letter)}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "dev"},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def config(name: str = "settings", *, namespace: str = "dev", wave: int = 0, **data: str) -> Object:
    """A ConfigMap."""
    metadata = {"name": name, "namespace": namespace}
    annotations = {"annotations": {"towpath.dev/wave": str(wave)}} if wave else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**metadata, **annotations}, "data": data}


def namespace(name: str = "dev") -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def annotated(obj: Object, **annotations: str) -> Object:
    """The object with more annotations; `__` stands for `/`, `_` for `.` before it and `-` after it."""
    metadata = obj["metadata"]
    named = {}
    for name, value in annotations.items():
        prefix, _, rest = name.partition("__")
        named[f"{prefix.replace('_', '.')}/{rest.replace('_', '-')}"] = value
    return {**obj, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **named}}}


def names(objects: Iterable[Object]) -> list[str]:
    """The objects' keys as text."""
    return [str(key_of(obj)) for obj in objects]
