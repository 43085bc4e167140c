"""The CI of one platform: `ci.runner` with the directories and the parallelism of this process."""

import os
from collections.abc import Callable

from towpath.aio.clock import Clock
from towpath.ci.ports import ImageBuilder, Recorder, SourceTrees
from towpath.ci.publication import Publication
from towpath.ci.report import CiReport
from towpath.ci.run import CommitRun
from towpath.ci.runner import Runner
from towpath.ociclient.client import RegistryClient
from towpath.server.settings import Settings


def make_runner(
    settings: Settings,
    source: SourceTrees,
    builder: ImageBuilder,
    client: RegistryClient,
    *,
    recorder: Recorder,
    clock: Clock,
    on_report: Callable[[CiReport], None],
) -> Runner:
    """The runner; it builds as many services at once as there are processors.

    Args:
        settings: whose state directory holds what runs need.
        source: the repository.
        builder: makes the images.
        client: of the registry that sets are published in.
        recorder: told each stage.
        clock: the time.
        on_report: told what a run came to.
    """
    publication = Publication(client)
    commit_run = CommitRun(
        source=source,
        builder=builder,
        publication=publication,
        recorder=recorder,
        clock=clock,
        workdir=settings.state / "work",
        parallel=os.cpu_count() or 1,
    )
    return Runner(
        source=source,
        commit_run=commit_run,
        publication=publication,
        recorder=recorder,
        clock=clock,
        data=settings.state / "ci",
        on_report=on_report,
    )
