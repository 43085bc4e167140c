"""The way of a push through the platform: heard, stamped, built, reconciled.

A push of the followed branch is taken durably by CI before it counts as handled; environments that it adds are admitted
to the registry and reconciled. A moved channel wakes the environments. Everything said here is a hint: each part would
find the change by itself, later.
"""

import logging

from towpath.ci.report import CiReport
from towpath.ci.runner import Runner
from towpath.errors import TowpathError
from towpath.observe.metrics import Metrics
from towpath.observe.timeline import Timeline
from towpath.oci.tags import is_channel
from towpath.reconcile.controller import Reconciler
from towpath.registry.protocol.exchange import PushEvent as ArtifactPush
from towpath.server.environments import Environments
from towpath.source.events import PushEvent

log = logging.getLogger(__name__)


class Delivery:
    """Passes pushes on."""

    def __init__(
        self,
        *,
        branch: str,
        environments: Environments,
        ci: Runner,
        reconciler: Reconciler,
        timeline: Timeline,
        metrics: Metrics,
    ) -> None:
        self._branch = branch
        self._environments = environments
        self._ci = ci
        self._reconciler = reconciler
        self._timeline = timeline
        self._metrics = metrics

    async def take(self, event: PushEvent) -> None:
        """Handle a push; it is handled when this returns. Raises OSError when CI cannot note it."""
        if event.branch != self._branch:
            return
        if event.deleted:
            log.warning("branch %s was deleted; what runs keeps running", self._branch)
            return
        self._timeline.stamp(event.after, "received", at=event.received_at)
        await self._ci.receive(ref=event.ref, after=event.after, branch=self._branch)
        try:
            await self._environments.follow()
        except TowpathError as error:  # a broken blueprint: the build and the reconciler report it
            log.warning("blueprint of %s: %s", event.after[:7], error.message)
        self._reconciler.trigger_all("push")

    async def channel_moved(self, event: ArtifactPush) -> None:
        """A tag was set in the registry; a channel that moved wakes who follows it."""
        if is_channel(event.tag) and event.digest != event.before:
            self._reconciler.trigger_all("channel")

    def built(self, report: CiReport) -> None:
        """A build has ended."""
        for service in report.services:
            self._metrics.builds.labels(service=service.service, result=service.outcome.value).inc()
