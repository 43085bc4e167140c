"""Publishes what was built by hand, under one tag, all or nothing.

1. When one service failed, nothing is pushed.
2. Ask where the tag is, one question a service. A service whose tag names this very image is done.
3. Of the others, for a commit under its own tag: ask what its set takes over, as CI does. An image that this commit, or
   an ancestor with the same tree, has in the registry is taken instead of the one built here. An artifact tag that
   names yet another image is refused before anything is sent: it never moves.
   With a key, an ancestor's image that the key cannot sign is not taken (`signing`).
4. Push the others by digest, with what attests them; with a key, sign what is there already. When one of these fails,
   no tag is set.
5. Set the tags.

CI's own run of a commit (`run`) also publishes the set and moves the channel.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from towpath.ci.batch import Batch, ServiceRun, repository_of
from towpath.ci.order import Order
from towpath.ci.planning import Planner
from towpath.ci.ports import ArtifactStore, ImageBuilder
from towpath.ci.publication import TagCollisionError
from towpath.ci.signing import Signing
from towpath.errors import ConflictError
from towpath.oci.digest import Digest
from towpath.oci.reference import Reference
from towpath.oci.tags import is_immutable, sha_tag
from towpath.ociclient.errors import PullError

_TagStep = Callable[[ServiceRun, Reference, Digest], Awaitable[None]]


class UnsignedError(ConflictError):
    """An image that cannot be replaced is not signed, and cannot be signed here."""

    def __init__(self, target: Reference, digest: Digest) -> None:
        super().__init__(
            f"{target} cannot be signed (NotReproduced): this machine does not make {digest} of the commit",
            hint="sign it where it was built: towpath build --push --key FILE there; or commit a change",
        )


class ManualPush:
    """Publishes the runs of an order."""

    def __init__(
        self,
        batch: Batch,
        store: ArtifactStore,
        *,
        builder: ImageBuilder,
        planner: Planner | None = None,
        signing: Signing | None = None,
    ) -> None:
        """Set up.

        Args:
            batch: the steps.
            store: the registry of tags.
            builder: signs what it built.
            planner: knows what the set of a commit takes over; None where there are no commits.
            signing: signs what is taken over; None where there are no commits.
        """
        self._batch = batch
        self._store = store
        self._builder = builder
        self._planner = planner
        self._signing = signing

    async def push(self, order: Order, runs: Iterable[ServiceRun]) -> None:
        """Publish what was built; a failure is in its run, and then no tag was set."""
        runs = list(runs)
        present: dict[str, Digest | None] = {}

        async def ask(run: ServiceRun, target: Reference, digest: Digest) -> None:
            present[run.build.service.name] = found = await self._find(target)
            run.published = found == digest

        async def compare(run: ServiceRun, target: Reference, digest: Digest) -> None:
            found = present[run.build.service.name]
            run.published = found == digest
            _check_free(target, found, digest)

        await self._each(order, runs, ask)
        if any(run.error for run in runs):
            return
        waiting = [run for run in runs if not run.published]
        await self._take_over(order, waiting)
        await self._each(order, waiting, compare)
        if any(run.error for run in runs):
            return
        waiting = [run for run in waiting if not run.published]
        await self._batch.push(order.snapshot.blueprint, [run for run in waiting if run.carried is None])
        if any(run.error for run in runs):
            return
        await self._each(order, [run for run in runs if run.carried is None], self._sign)
        if any(run.error for run in runs):
            return
        await self._each(order, waiting, self._tag)

    async def _take_over(self, order: Order, runs: Sequence[ServiceRun]) -> None:
        snapshot = order.snapshot
        if not runs or self._planner is None or not snapshot.commit or order.tag != sha_tag(snapshot.commit):
            return
        # Of these services alone: the registry is asked nothing of those that nobody wants published.
        services = {run.build.service.name: run.build.service for run in runs}
        narrowed = replace(snapshot, blueprint=replace(snapshot.blueprint, services=services))
        plan = await self._planner.plan(narrowed)
        carried = {artifact.service: artifact for artifact in plan.carried}
        left = await self._signing.find_unsigned(narrowed, plan.carried) if self._signing else []
        signs = self._signing is not None and await self._builder.signs()
        for run in runs:
            name = run.build.service.name
            artifact = carried.get(name)
            if artifact in left and artifact.revision != snapshot.commit:
                continue
            run.carried, run.signed = artifact.descriptor if artifact else None, signs and artifact not in left
            if artifact in left:
                target = repository_of(order.snapshot.blueprint, name).with_tag(order.tag)
                run.error = UnsignedError(target, artifact.descriptor.digest)

    async def _each(self, order: Order, runs: Iterable[ServiceRun], step: _TagStep) -> None:
        async def one(run: ServiceRun) -> None:
            if run.descriptor is None:
                return
            target = repository_of(order.snapshot.blueprint, run.build.service.name).with_tag(order.tag)
            try:
                await step(run, target, run.descriptor.digest)
            except Exception as error:  # noqa: BLE001 - reported per service, whatever it is
                run.error = error

        await asyncio.gather(*(one(run) for run in runs if run.error is None))

    async def _tag(self, run: ServiceRun, target: Reference, digest: Digest) -> None:
        # Read back from the registry: what it does not have under its digest must not get a name.
        raw = await self._store.manifest(Reference(target.registry, target.repository, digest=digest))
        await self._store.push_manifest(target, raw.content, raw.media_type)
        run.published = True

    async def _sign(self, run: ServiceRun, target: Reference, digest: Digest) -> None:
        del digest
        if run.image is not None:
            run.signed = await self._builder.sign(run.image, Reference(target.registry, target.repository))

    async def _find(self, reference: Reference) -> Digest | None:
        try:
            return (await self._store.resolve(reference)).digest
        except PullError as error:
            if not error.may_be_absent:
                raise
            return None


def _check_free(target: Reference, present: Digest | None, digest: Digest) -> None:
    if present is not None and present != digest and is_immutable(target.tag):
        raise TagCollisionError(
            f"tag {target} is taken (TagCollision): it names {present}, this build is {digest}",
            hint="the platform's CI, or another machine, published this commit; commit a change, or choose --tag",
        )
