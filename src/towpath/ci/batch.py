"""Takes services through their steps side by side. What CI and a build by hand have in common.

    recall   an image of the same tree, built before, is taken as it is; otherwise
    export   the directory of the commit is written
    build    the image is built
    push     the image is put into its repository, by digest

At most `parallel` steps run at once, over all batches. One failure does not stop the others: each service keeps its own
error, and all are reported. Whether a failure keeps the rest from being published is for the caller to say.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.blueprint.model import Blueprint
from towpath.ci.plan import Build
from towpath.ci.ports import BuildJob, ImageBuilder, PendingImage, Snapshot
from towpath.errors import TowpathError
from towpath.oci.descriptor import Descriptor
from towpath.oci.reference import Reference

log = logging.getLogger(__name__)

Export = Callable[[str, str, Path], Awaitable[None]]


class Step(StrEnum):
    """The steps, as they are shown."""

    RECALL = "looking"
    EXPORT = "exporting"
    BUILD = "building"
    PUSH = "pushing"


@dataclass(slots=True)
class ServiceRun:
    """A service on its way through the steps; the first error ends its way.

    Attributes:
        build: what is to be built, and why.
        context: its directory, once it is exported.
        only: the files of the directory that count; None for all.
        image: what was built.
        error: what went wrong.
        seconds: how long its steps took.
        sent: bytes of layers that went to the registry.
        carried: an image that is in the registry already and is taken instead of the one that was built.
        published: whether its tag names the image; only known where tags are set one service at a time.
        signed: whether a key's owner stands for the published image, known as `published` is.
    """

    build: Build
    context: Path
    only: frozenset[str] | None = None
    image: PendingImage | None = None
    error: Exception | None = None
    seconds: float = 0.0
    sent: int = 0
    carried: Descriptor | None = None
    published: bool = False
    signed: bool = False

    @property
    def descriptor(self) -> Descriptor | None:
        """Of the image that the service's tag is to name."""
        return self.carried or (self.image.descriptor if self.image else None)


class Watcher(Protocol):
    """Who is told how far a batch is."""

    def began(self, service: str, step: Step, /) -> None:
        """A service began a step."""
        ...

    def sent(self, service: str, count: int, /) -> None:
        """So many more bytes of a service's image are on their way."""
        ...

    def ended(
        self, service: str, step: Step, /, *, failed: bool, cached: bool = False, interrupted: bool = False
    ) -> None:
        """A step of a service ended.

        Args:
            service: its name.
            step: which one.
            failed: it came to nothing.
            cached: it found its work done already, and may not have begun.
            interrupted: it was stopped, which is no failure of its own.
        """
        ...


class Unwatched:
    """For batches that nobody watches."""

    def began(self, service: str, step: Step, /) -> None:
        """Nothing."""

    def sent(self, service: str, count: int, /) -> None:
        """Nothing."""

    def ended(
        self, service: str, step: Step, /, *, failed: bool, cached: bool = False, interrupted: bool = False
    ) -> None:
        """Nothing."""


class Batch:
    """Runs steps; holds what all runs share."""

    def __init__(
        self, builder: ImageBuilder, export: Export, *, clock: Clock, parallel: int, watcher: Watcher | None = None
    ) -> None:
        """Prepare.

        Args:
            builder: builds images.
            export: writes a directory of a commit into an absent one.
            clock: measures.
            parallel: how many services are worked on at once, over all runs.
            watcher: is told how far they are.
        """
        self._builder = builder
        self._export = export
        self._clock = clock
        self._gate = asyncio.Semaphore(parallel)
        self._watcher: Watcher = watcher or Unwatched()

    async def recall(self, snapshot: Snapshot, runs: Iterable[ServiceRun], *, tag: str) -> None:
        """Take the images of trees that were built before: those services are neither exported nor built."""

        async def step(run: ServiceRun) -> None:
            run.image = await self._builder.find(_job(snapshot, run, tag))

        await self._all(runs, Step.RECALL, step)

    async def export(self, snapshot: Snapshot, runs: Iterable[ServiceRun]) -> None:
        """Write the directories of the commit."""

        async def step(run: ServiceRun) -> None:
            await asyncio.to_thread(run.context.parent.mkdir, parents=True, exist_ok=True)
            await self._export(snapshot.commit, run.build.service.path, run.context)

        await self._all((run for run in runs if run.image is None), Step.EXPORT, step)

    async def build(self, snapshot: Snapshot, runs: Iterable[ServiceRun], *, tag: str) -> None:
        """Build the images."""

        async def step(run: ServiceRun) -> None:
            run.image = await self._builder.build(_job(snapshot, run, tag))

        await self._all((run for run in runs if run.image is None), Step.BUILD, step)

    async def push(self, blueprint: Blueprint, runs: Iterable[ServiceRun]) -> None:
        """Put the images into their repositories by digest."""

        async def step(run: ServiceRun) -> None:
            def on_sent(count: int) -> None:
                run.sent += count
                self._watcher.sent(run.build.service.name, count)

            if run.image is not None:
                await run.image.push(repository_of(blueprint, run.build.service.name), on_sent=on_sent)

        await self._all(runs, Step.PUSH, step)

    async def _all(self, runs: Iterable[ServiceRun], kind: Step, step: Callable[[ServiceRun], Awaitable[None]]) -> None:
        await asyncio.gather(*(self._one(run, kind, step) for run in runs if run.error is None))

    async def _one(self, run: ServiceRun, kind: Step, step: Callable[[ServiceRun], Awaitable[None]]) -> None:
        name = run.build.service.name
        async with self._gate:
            started = self._clock.monotonic()
            if kind is not Step.RECALL:
                self._watcher.began(name, kind)
            interrupted = True
            try:
                await step(run)
                interrupted = False
            except Exception as error:  # reported per service, whatever it is
                run.error, interrupted = error, False
                if not isinstance(error, TowpathError | OSError):
                    log.exception("service %s failed unexpectedly", name)
            finally:
                run.seconds += self._clock.monotonic() - started
                self._tell_end(run, kind, interrupted=interrupted)

    def _tell_end(self, run: ServiceRun, kind: Step, *, interrupted: bool) -> None:
        if kind is Step.RECALL:
            if run.image is None and run.error is None:
                return  # nobody is told of a look that found nothing
            kind = Step.BUILD  # what is found stands for it
        cached = kind is Step.BUILD and run.image is not None and run.image.cached
        failed = run.error is not None
        self._watcher.ended(run.build.service.name, kind, failed=failed, cached=cached, interrupted=interrupted)


def _job(snapshot: Snapshot, run: ServiceRun, tag: str) -> BuildJob:
    return BuildJob(
        service=run.build.service,
        context=run.context,
        commit=snapshot.commit,
        tree_id=run.build.tree_id,
        committed_at=snapshot.committed_at,
        tag=tag,
        only=run.only,
        source=snapshot.blueprint.source,
    )


def repository_of(blueprint: Blueprint, service: str) -> Reference:
    """Where a service's images live."""
    return Reference.parse(blueprint.image(service))
