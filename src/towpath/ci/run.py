"""One run of CI for one commit: read, plan, export, build, push, publish. `runner` decides when, and what comes after.

1. Read the commit; a set that was published before is only rolled forward.
2. Plan (`planning`): which services are affected, which images are carried. With a key, the carried ones are signed
   (`signing`), or else built for this commit.
3. Export the affected directories, side by side.
4. Build them, side by side (`batch`). One failure does not stop the others: all are reported.
5. Push the images by digest, then publish the set; nothing is published unless every service has its image.

A run has no memory: started again at any point it finds what is done by asking the registry.
"""

import asyncio
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from towpath.aio.clock import Clock, format_rfc3339
from towpath.ci.batch import Batch, ServiceRun
from towpath.ci.plan import SetPlan, plan_rebuild
from towpath.ci.planning import Planner
from towpath.ci.ports import ImageBuilder, Recorder, Snapshot, SourceTrees
from towpath.ci.publication import Publication
from towpath.ci.report import ServiceOutcome, ServiceReport
from towpath.ci.sets import SETS_REPOSITORY, Artifact, ArtifactSet
from towpath.ci.signing import Signing
from towpath.errors import TowpathError, UserError
from towpath.oci.tags import sha_tag

_NOT_SIGNED = "its image is not signed"
_UNSIGNED = (
    "its image was published under this commit's tag by somebody else and is not signed: it cannot be made again here;"
    " a commit that touches the service brings a signed one"
)


@dataclass(slots=True)
class Result:
    """What a run came to.

    Attributes:
        artifact_set: the published set; None when a service failed.
        runs: the affected services.
        carried: the images taken over.
        removed: services the commit no longer has.
        unsigned: services of `carried` whose image the key has not signed, and cannot sign.
    """

    artifact_set: ArtifactSet | None
    runs: list[ServiceRun] = field(default_factory=list)
    carried: tuple[Artifact, ...] = ()
    removed: tuple[str, ...] = ()
    unsigned: frozenset[str] = frozenset()

    @property
    def errors(self) -> list[Exception]:
        """What went wrong, service by service."""
        return [run.error for run in self.runs if run.error is not None]

    def services(self, commit: str) -> tuple[ServiceReport, ...]:
        """The service's part of a report, by name."""
        built = [_report(run, commit) for run in self.runs]
        carried = [
            ServiceReport(
                artifact.service,
                ServiceOutcome.CARRIED,
                digest=str(artifact.descriptor.digest),
                revision=artifact.revision,
                warnings=(_UNSIGNED,) if artifact.service in self.unsigned else (),
            )
            for artifact in self.carried
        ]
        return tuple(sorted([*built, *carried], key=lambda report: report.service))


class CommitRun:
    """Runs CI for commits of one repository; holds what all runs share."""

    def __init__(
        self,
        *,
        source: SourceTrees,
        builder: ImageBuilder,
        publication: Publication,
        recorder: Recorder,
        clock: Clock,
        workdir: Path,
        parallel: int,
    ) -> None:
        """Prepare.

        Args:
            source: where commits are read.
            builder: builds images.
            publication: publishes sets.
            recorder: is told each stage.
            clock: measures.
            workdir: directories of commits are exported below it, and removed afterwards.
            parallel: how many services are worked on at once, over all runs.
        """
        self._builder = builder
        self._source = source
        self._batch = Batch(builder, source.export, clock=clock, parallel=parallel)
        self._planner = Planner(source, publication)
        self._publication = publication
        self._recorder = recorder
        self.workdir = workdir

    async def run(self, snapshot: Snapshot) -> Result:
        """Bring the set of a commit into being, or say what kept it from that.

        Raises:
            TowpathError: the registry failed, or the commit as a whole cannot be published.
        """
        _check_names(snapshot)
        published = await self._publication.find_set(snapshot.blueprint, snapshot.commit)
        if published is not None:
            await self._publication.publish(snapshot.blueprint, published)
            self._stamp(snapshot, "fetched", "built")
            return Result(published, carried=tuple(published.artifacts.values()))
        directory = self.workdir / snapshot.commit
        try:
            plan, unsigned = await self._see_to_signatures(snapshot, await self._planner.plan(snapshot), directory)
        finally:
            await asyncio.to_thread(remove_tree, directory)
        runs = [ServiceRun(build, directory / build.service.name) for build in plan.builds]
        tag = sha_tag(snapshot.commit)
        try:
            await self._batch.recall(snapshot, runs, tag=tag)
            await self._batch.export(snapshot, runs)
            self._stamp(snapshot, "fetched")
            await self._batch.build(snapshot, runs, tag=tag)
        finally:
            await asyncio.to_thread(remove_tree, directory)
        result = Result(None, runs, plan.carried, plan.removed, unsigned)
        if result.errors:
            return result
        self._stamp(snapshot, "built")
        await self._batch.push(snapshot.blueprint, runs)
        if not result.errors:
            result.artifact_set = _complete(snapshot, plan, runs)
            await self._publication.publish(snapshot.blueprint, result.artifact_set)
        return result

    async def _see_to_signatures(
        self, snapshot: Snapshot, plan: SetPlan, directory: Path
    ) -> tuple[SetPlan, frozenset[str]]:
        """The plan without ancestors' images that the key cannot sign, and the services left unsigned all the same."""
        signing = Signing(self._builder, self._source, workdir=directory)
        left = await signing.find_unsigned(snapshot, plan.carried)
        anew = [artifact.service for artifact in left if artifact.revision != snapshot.commit]
        unsigned = frozenset(artifact.service for artifact in left) - set(anew)
        services = snapshot.blueprint.services
        return (plan_rebuild(plan, services, anew, reason=_NOT_SIGNED) if anew else plan), unsigned

    def _stamp(self, snapshot: Snapshot, *stages: str) -> None:
        for stage in stages:
            self._recorder.stamp(snapshot.commit, stage)


def _check_names(snapshot: Snapshot) -> None:
    if SETS_REPOSITORY in snapshot.blueprint.services:
        raise UserError(
            f"service {SETS_REPOSITORY} cannot be built (NameTaken): its repository holds the sets of commits",
            hint="rename the service in towpath.yaml",
        )


def _complete(snapshot: Snapshot, plan: SetPlan, runs: list[ServiceRun]) -> ArtifactSet:
    artifacts = {artifact.service: artifact for artifact in plan.carried}
    for run in runs:
        if run.image is not None:
            name = run.build.service.name
            descriptor = replace(run.image.descriptor, annotations={})
            artifacts[name] = Artifact(name, descriptor, snapshot.commit, run.build.tree_id, run.build.fingerprint)
    return ArtifactSet(snapshot.commit, format_rfc3339(snapshot.committed_at), artifacts)


def _report(run: ServiceRun, commit: str) -> ServiceReport:
    name, reason = run.build.service.name, run.build.reason
    if run.error is not None or run.image is None:
        error = format_error(run.error) if run.error else "not built: another service failed first"
        return ServiceReport(name, ServiceOutcome.FAILED, reason, seconds=run.seconds, error=error)
    return ServiceReport(
        service=name,
        outcome=ServiceOutcome.BUILT,
        reason=reason,
        cached=run.image.cached,
        digest=str(run.image.descriptor.digest),
        revision=commit,
        seconds=run.seconds,
        warnings=run.image.warnings,
    )


def format_error(error: Exception) -> str:
    """An error as it is kept in a report: with the next step when it knows one."""
    if isinstance(error, TowpathError):
        return error.diagnostics()
    if isinstance(error, OSError):
        reason = error.strerror or error
        return f"this machine's disk refused (DiskError): {reason}\n  next: free space, or mend the permissions"
    return f"unexpected failure ({type(error).__name__}): see the log of the platform"


def remove_tree(directory: Path) -> None:
    """Delete an export; what cannot be deleted is swept at the next start."""
    shutil.rmtree(directory, ignore_errors=True)
