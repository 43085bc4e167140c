"""Runs CI for the commits of a branch: the newest first, every received one in the end.

Rules:
- A commit is *received* when it was pushed as the tip of the branch. Each received commit gets a complete set, also one
  that was superseded meanwhile: most of its images are carried or come from the cache. Commits that arrived below a tip
  were never tips and get none.
- The newest waiting commit goes first; two commits are worked on at a time, so a slow one never holds up the newest.
- The channel goes to the newest commit of the branch. When that one fails, it goes to the newest published ancestor,
  unless the channel is past it already: it never moves backwards, except where the branch itself did (a force push).
- What the user can mend is not retried until there is a new commit. Everything else is, with back-off: for ever when
  the commit is the newest, ten times when it was superseded.
- A received commit is on disk before `receive` returns; a start takes up what was pending, and the newest commit.

The steps of one run: `run`. What is remembered: `journal`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock
from towpath.aio.tasks import Background
from towpath.ci.journal import Journal
from towpath.ci.plan import commit_to_build
from towpath.ci.ports import Recorder, Snapshot, SourceTrees
from towpath.ci.publication import Publication
from towpath.ci.report import CiReport, Outcome
from towpath.ci.run import CommitRun, Result, format_error, remove_tree
from towpath.ci.sets import ArtifactSet
from towpath.errors import ConflictError, NotFoundError, RefusedError, TowpathError, UserError
from towpath.oci.tags import sha_tag

log = logging.getLogger(__name__)

_WORKERS = 2
_SUPERSEDED_ATTEMPTS = 10
# Twenty: further back nobody wants the channel to fall, and each one asks Git and the registry.
_FALLBACK_ANCESTORS = 20
# What only a new commit can mend.
_FINAL = (UserError, RefusedError, NotFoundError, ConflictError)


class Runner:
    """The CI of one repository's branch."""

    def __init__(
        self,
        *,
        source: SourceTrees,
        commit_run: CommitRun,
        publication: Publication,
        recorder: Recorder,
        clock: Clock,
        data: Path,
        on_report: Callable[[CiReport], None] = lambda _report: None,
        backoff: Backoff | None = None,
    ) -> None:
        """Wire; nothing runs before `start`.

        Args:
            source: the repository.
            commit_run: the steps of a run.
            publication: publishes sets; the same that `commit_run` uses.
            recorder: is told when a commit is pushed.
            clock: measures and paces retries.
            data: directory of the journal.
            on_report: called after each run; must not raise.
            backoff: between attempts for one commit.
        """
        self._source = source
        self._commit_run = commit_run
        self._publication = publication
        self._recorder = recorder
        self._clock = clock
        self._journal = Journal(data)
        self._on_report = on_report
        self._backoff = backoff or Backoff(initial_seconds=1.0)
        self._background = Background()
        self._waiting: list[str] = []
        self._active: set[str] = set()
        self._again: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._unkept: dict[str, CiReport] = {}  # those that the disk did not take
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Take up what was pending, and the newest commit of the branch. Raises OSError."""
        await asyncio.to_thread(self._journal.open)
        await asyncio.to_thread(remove_tree, self._commit_run.workdir)
        commits = await asyncio.to_thread(self._journal.pending)
        newest = await self._source.newest()
        if newest is not None and newest not in commits:
            commits.append(newest)
        for commit in commits:
            await self._enqueue(commit)
        for number in range(_WORKERS):
            self._background.run_forever(f"ci worker {number}", self._work)

    async def close(self) -> None:
        """Stop; what was not finished stays pending."""
        await self._background.close()

    async def receive(self, *, ref: str, after: str, branch: str) -> bool:
        """A push moved a ref; whether there is something to build. Durable when it returns. Raises OSError."""
        commit = commit_to_build(ref, after, branch=branch)
        if commit is None:
            return False
        await asyncio.to_thread(self._journal.add, commit)
        await self._enqueue(commit)
        return True

    async def publish(self, commit: str) -> CiReport:
        """Run for a commit, now; the report says how it went. Errors are in it, never raised."""
        attempt = self._failures[commit] + 1
        started_at, started = self._clock.now(), self._clock.monotonic()
        report = CiReport(commit, Outcome.PUBLISHED, started_at, attempt=attempt, tag=sha_tag(commit))
        try:
            snapshot = await self._source.snapshot(commit)
            result = await self._commit_run.run(snapshot)
            report = replace(report, services=result.services(commit), removed=result.removed)
            report = await self._conclude(report, snapshot, result)
        except Exception as error:  # reported; the loop goes on
            if not isinstance(error, TowpathError | OSError):
                log.exception("commit %s failed unexpectedly", commit)
            report = replace(report, outcome=await self._judge([error], commit), error=format_error(error))
        report = replace(report, seconds=self._clock.monotonic() - started)
        await self._remember(report)
        if report.outcome is not Outcome.PUBLISHED:
            await self._lead_with_ancestor(commit)
        self._on_report(report)
        return report

    async def settled(self) -> None:
        """Wait until no commit is waiting or worked on; commits in their back-off do not count."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting and not self._active)

    def find_report(self, commit: str) -> CiReport | None:
        """The last report of a commit."""
        return self._unkept.get(commit) or self._journal.find(commit)

    def reports(self, limit: int = 50) -> list[CiReport]:
        """The newest reports, newest first."""
        return self._journal.latest(limit)

    async def _work(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
                commit = self._waiting.pop()
                self._active.add(commit)
            try:
                await self._attempt(commit)
            finally:
                async with self._changed:
                    self._active.discard(commit)
                    if commit in self._again:
                        self._again.discard(commit)
                        self._waiting.append(commit)
                    self._changed.notify_all()

    async def _attempt(self, commit: str) -> None:
        report = await self.publish(commit)
        if report.outcome is Outcome.RETRYING:
            self._failures[commit] += 1
            delay = self._backoff.delay(self._failures[commit])
            self._background.run_once(f"ci retry of {commit}", lambda: self._retry(commit, delay))
        else:
            del self._failures[commit]
            await asyncio.to_thread(self._journal.finish, commit)

    async def _retry(self, commit: str, delay: float) -> None:
        await self._clock.sleep(delay)
        await self._enqueue(commit, first=False)

    async def _enqueue(self, commit: str, *, first: bool = True) -> None:
        """Workers take from the end."""
        async with self._changed:
            if commit in self._active:
                self._again.add(commit)
            elif commit not in self._waiting:
                self._waiting.insert(len(self._waiting) if first else 0, commit)
            self._changed.notify_all()

    async def _remember(self, report: CiReport) -> None:
        try:
            await asyncio.to_thread(self._journal.save, report)
            self._unkept.pop(report.commit, None)
        except OSError as error:
            # Without it, a commit that a full disk holds up would look as if all were well.
            self._unkept[report.commit] = report
            log.warning("report of %s is not kept: %s (it said: %s)", report.commit, error, report.error or "published")

    async def _conclude(self, report: CiReport, snapshot: Snapshot, result: Result) -> CiReport:
        if result.artifact_set is None:
            failed = ", ".join(service.service for service in report.services if service.error)
            outcome = await self._judge(result.errors, snapshot.commit)
            error = f"set of {snapshot.commit} is not published (ServiceFailed): {failed} could not be built"
            return replace(report, outcome=outcome, error=error)
        leads = await self._lead(snapshot, result.artifact_set)
        self._recorder.stamp(snapshot.commit, "pushed")
        return replace(report, channel=snapshot.blueprint.channel if leads else "")

    async def _lead(self, snapshot: Snapshot, artifact_set: ArtifactSet) -> bool:
        async def may_take(current: str | None) -> bool:
            newest = await self._source.newest()
            if newest is None or artifact_set.commit == newest:
                return newest is not None
            newest_report = await asyncio.to_thread(self.find_report, newest)
            if newest_report is None or newest_report.outcome is Outcome.PUBLISHED:
                return False  # the newest one is on its way, or already there
            on_branch = await self._source.is_ancestor(artifact_set.commit, newest)
            return on_branch and (current is None or await self._source.is_ancestor(current, artifact_set.commit))

        return await self._publication.take_channel(snapshot.blueprint, artifact_set, may_take)

    async def _lead_with_ancestor(self, commit: str) -> None:
        """After a failure: give the channel to the newest ancestor that has a set, if it may take it."""
        try:
            for ancestor in (await self._source.ancestors(commit))[:_FALLBACK_ANCESTORS]:
                found = await self._find_published(ancestor)
                if found is not None:
                    await self._lead(*found)
                    return
        except TowpathError as error:
            log.warning("channel stays where it is after the failure of %s: %s", commit, error)

    async def _find_published(self, commit: str) -> tuple[Snapshot, ArtifactSet] | None:
        try:
            snapshot = await self._source.snapshot(commit)
            found = await self._publication.find_set(snapshot.blueprint, commit)
        except _FINAL:
            return None  # a commit that cannot be read or published has no set
        return (snapshot, found) if found is not None else None

    async def _judge(self, errors: list[Exception], commit: str) -> Outcome:
        """Whether a run that failed with these errors is worth repeating."""
        if all(isinstance(error, _FINAL) for error in errors):
            return Outcome.FAILED
        if self._failures[commit] + 1 < _SUPERSEDED_ATTEMPTS:
            return Outcome.RETRYING
        try:
            superseded = await self._source.newest() != commit
        except TowpathError:
            superseded = False
        return Outcome.FAILED if superseded else Outcome.RETRYING
