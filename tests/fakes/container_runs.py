"""Containers without a machine: a runtime whose runs a test ends, and images that are there or not."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from towpath.cluster.node.image.catalogue import LocalImage
from towpath.cluster.node.pod.probe_actions import Outcome
from towpath.cluster.node.pod.runner import Ended
from towpath.cluster.node.registration import local_platform
from towpath.errors import TowpathError
from towpath.kube.objects import Object
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.keyring import Keyring
from towpath.oci.reference import Reference


class FakeRun:
    """Satisfies `runner.Run`; the test says when and how it ends."""

    def __init__(self, number: int) -> None:
        self.container_id = f"towpath://{number}"
        self.answers: dict[str, Outcome] = {}
        self.grace: float | None = None
        self.obedient = True
        self._end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def end(self, code: int, **how: object) -> None:
        if not self._end.done():
            self._end.set_result(Ended(exit_code=code, **how))  # type: ignore[arg-type]

    async def wait(self) -> Ended:
        return await asyncio.shield(self._end)

    async def stop(self, grace_seconds: float) -> None:
        self.grace = grace_seconds
        if self.obedient or not grace_seconds:
            self.end(143 if grace_seconds else 137)
        await self.wait()

    def look(self, probe: Object, *, timeout_seconds: float) -> Callable[[], Awaitable[Outcome]]:  # noqa: ARG002
        async def once() -> Outcome:
            return self.answers.get(probe["kind"], Outcome(success=True))

        return once


@dataclass
class FakeRuntime:
    """Satisfies `runner.Runtime`."""

    refusal: Exception | None = None
    runs: list[FakeRun] = field(default_factory=list)
    started: list[tuple[str, int]] = field(default_factory=list)
    answers: dict[str, Outcome] = field(default_factory=dict)  # of probes of runs to come
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def start(self, container: Object, image: LocalImage, *, restart_count: int) -> FakeRun:  # noqa: ARG002
        if self.refusal is not None:
            raise self.refusal
        run = FakeRun(next(self.numbers))
        run.answers |= self.answers
        self.runs.append(run)
        self.started.append((container["name"], restart_count))
        return run


@dataclass
class FakeImages:
    """Satisfies `image_pull.Images`."""

    present: set[str] = field(default_factory=set)
    failure: TowpathError | None = None
    pulls: list[Keyring] = field(default_factory=list)
    accessible: bool = True

    def find(self, reference: Reference) -> LocalImage | None:
        return make_image(reference) if str(reference) in self.present else None

    def is_accessible(self, image: LocalImage, reference: Reference, keyring: Keyring) -> bool:  # noqa: ARG002
        return self.accessible

    async def pull(self, reference: Reference, keyring: Keyring) -> LocalImage:
        self.pulls.append(keyring)
        if self.failure is not None:
            raise self.failure
        self.present.add(str(reference))
        return make_image(reference)


def make_image(reference: Reference) -> LocalImage:
    """An image of that name."""
    return LocalImage(name=reference.name, digest=Digest.of(b"x"), config=ImageConfig(local_platform()))
