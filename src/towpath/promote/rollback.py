"""Going back to the last good release, by a commit that sticks.

1. Read the environment's releases; the first is what it names at present.
2. Take the newest earlier one that is good: each pin that would change back is not in quarantine, and its verdict in
   this environment is not bad. A release named by the caller is taken as it is, unless it is in quarantine.
3. Prove it pullable: each of its digests complete in the registry, with the environment's own pull secret. If it is
   not, go on to the release before, and say so.
4. Commit the old pins on top of the head, with trailers that put the present digests in quarantine, so that neither a
   person nor a channel brings them back. If the branch has moved, begin again.

The reconciler frees a StatefulSet that hangs on the bad version (`reconcile.unstick`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from towpath.blueprint.model import Blueprint, Environment
from towpath.errors import ConflictError, RefusedError, UserError
from towpath.oci.tags import is_channel
from towpath.promote.candidate import Lookup, resolve_candidate
from towpath.promote.gate import Candidate, Verdict, completeness, pullability
from towpath.promote.gate.evidence import Evidence
from towpath.promote.pins import Pin, set_pins
from towpath.promote.promotion import ATTEMPTS, Desk, commit_pins, move_of
from towpath.promote.releases import Release, read_releases
from towpath.promote.repository import get_head, get_overlay
from towpath.promote.trailers import Act, Move, Record
from towpath.source.repository import StaleBranchError


class Standing(StrEnum):
    """What became of a digest in an environment."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"


class Verdicts(Protocol):
    """What is remembered of the past."""

    async def standing_of(self, environment: str, service: str, digest: str) -> Standing:
        """What became of a digest there."""
        ...


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """What a person asks for. `to` is the commit of a release; empty for the last good one."""

    environment: str
    to: str = ""
    reason: str = ""
    by: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """An earlier release that was not taken, and why."""

    commit: str
    reason: str


@dataclass(frozen=True, slots=True)
class RollbackOutcome:
    """What came of it. `commit` is None for a dry run."""

    environment: str
    release: Release
    moves: tuple[Move, ...]
    quarantined: tuple[tuple[str, str], ...]
    skipped: tuple[Skipped, ...]
    commit: str | None


class NoGoodReleaseError(RefusedError):
    """No earlier release can be restored; the message lists each with its reason."""


async def roll_back(desk: Desk, verdicts: Verdicts, request: RollbackRequest) -> RollbackOutcome:
    """Restore the last good release of an environment.

    Raises:
        NotFoundError: no such environment, or nothing was pushed yet.
        NoGoodReleaseError: nothing to go back to.
        ConflictError: other writers were faster every time.
    """
    for _ in range(ATTEMPTS):
        try:
            return await _Rollback(desk, verdicts, request).attempt()
        except StaleBranchError:
            await desk.announce(desk.branch)  # a mirror of an outside repository has to catch up first
    raise ConflictError(
        f"rollback of {request.environment} was not written (Busy): {desk.branch} moved {ATTEMPTS} times meanwhile",
        hint="try again in a moment",
    )


class _Rollback:
    """One attempt at one head."""

    def __init__(self, desk: Desk, verdicts: Verdicts, request: RollbackRequest) -> None:
        self._desk = desk
        self._verdicts = verdicts
        self._request = request

    async def attempt(self) -> RollbackOutcome:
        """Steps 1 to 4."""
        desk, request = self._desk, self._request
        head = await get_head(desk.repository, desk.branch)
        blueprint = await desk.blueprint(head)
        environment = blueprint.get_environment(request.environment)
        releases = await read_releases(desk.repository, desk.branch, environment)
        if not releases or not releases[0].tags:
            raise NoGoodReleaseError(
                f"{environment.name} cannot be rolled back (NoRelease): nothing was ever promoted to it",
                hint=f"towpath promote SERVICE --to {environment.name}",
            )
        if all(is_channel(tag) for release in releases for tag in release.tags.values()):
            raise NoGoodReleaseError(
                f"{environment.name} cannot be rolled back (FollowsChannel): it runs what {desk.branch} was built to",
                hint="git revert the bad commit and push; the images are there already",
            )
        evidence = await desk.evidence(blueprint, environment.name)
        chosen, moves, skipped = await self._choose(blueprint, environment, releases, evidence)
        bad = await self._present_digests(blueprint, environment, releases[0], moves)
        if request.dry_run:
            return RollbackOutcome(environment.name, chosen, moves, bad, skipped, None)
        path, text = await get_overlay(desk.repository, head, environment)
        present = releases[0].pins
        names = {move.service: _image_name(present, move.service, blueprint) for move in moves}
        edited = set_pins(
            text, {names[move.service]: Pin(names[move.service], tag=move.tag) for move in moves}, file=path
        )
        reason = request.reason or f"Back to the release of {chosen.commit.id[:7]}."
        record = Record(Act.ROLLBACK, environment.name, moves, quarantined=bad, by=request.by, reason=reason)
        commit = await commit_pins(desk, {path: edited}, record, parent=head)
        return RollbackOutcome(environment.name, chosen, moves, bad, skipped, commit)

    async def _choose(
        self, blueprint: Blueprint, environment: Environment, releases: Sequence[Release], evidence: Evidence
    ) -> tuple[Release, tuple[Move, ...], tuple[Skipped, ...]]:
        skipped: list[Skipped] = []
        for release in self._eligible(releases):
            candidates = await self._candidates(blueprint, environment, releases[0], release)
            reason = await self._objection(candidates, evidence) if candidates else "it names the same versions"
            if reason is None:
                return release, tuple(move_of(candidate) for candidate in candidates), tuple(skipped)
            skipped.append(Skipped(release.commit.id, reason))
        listed = "; ".join(f"{one.commit[:7]}: {one.reason}" for one in skipped) or "there is no earlier release"
        raise NoGoodReleaseError(
            f"{environment.name} cannot be rolled back (NoGoodRelease): {listed}",
            hint="push a fix and promote it, or name a release: --to COMMIT (`towpath history`)",
        )

    def _eligible(self, releases: Sequence[Release]) -> Sequence[Release]:
        wanted = self._request.to
        if not wanted:
            return releases[1:]
        named = [release for release in releases[1:] if release.commit.id.startswith(wanted)]
        if not named:
            known = ", ".join(release.commit.id[:7] for release in releases[1:]) or "none"
            raise UserError(
                f"release {wanted} of {self._request.environment} cannot be restored (NotFound): known are {known}",
                hint="`towpath history` lists the releases",
            )
        return named

    async def _candidates(
        self, blueprint: Blueprint, environment: Environment, present: Release, release: Release
    ) -> list[Candidate]:
        desk = self._desk
        lookup = Lookup(blueprint, desk.history, desk.artifacts, desk.runtime, desk.platform)
        services = {_image_name(present.pins, service, blueprint): service for service in blueprint.services}
        changed = [name for name, tag in release.tags.items() if present.tags.get(name) != tag and name in services]
        return [
            await resolve_candidate(lookup, services[name], environment.name, release.tags[name], dict(present.pins))
            for name in changed
        ]

    async def _objection(self, candidates: Sequence[Candidate], evidence: Evidence) -> str | None:
        for candidate in candidates:
            if candidate.image is not None:
                digest = str(candidate.image.descriptor.digest)
                if digest in evidence.quarantined:
                    return f"{candidate.service.name} {candidate.tag} is in quarantine"
                standing = await self._verdicts.standing_of(candidate.environment.name, candidate.service.name, digest)
                if standing is Standing.DEGRADED and not self._request.to:
                    return f"{candidate.service.name} {candidate.tag} was degraded there"
            for check in (completeness.check, pullability.check):
                result = await check(candidate, evidence)
                if result.verdict is not Verdict.PASSED:
                    return result.evidence
        return None

    async def _present_digests(
        self, blueprint: Blueprint, environment: Environment, present: Release, moves: Sequence[Move]
    ) -> tuple[tuple[str, str], ...]:
        """What goes into quarantine: the digests that the moved services are pinned to at present."""
        desk = self._desk
        lookup = Lookup(blueprint, desk.history, desk.artifacts, desk.runtime, desk.platform)
        bad = []
        for move in moves:
            tag = present.tags.get(_image_name(present.pins, move.service, blueprint), "")
            if not tag:
                continue
            candidate = await resolve_candidate(lookup, move.service, environment.name, tag, dict(present.pins))
            if candidate.image is not None:  # a tag that was never built has no digest to put aside
                bad.append((move.service, str(candidate.image.descriptor.digest)))
        return tuple(bad)


def _image_name(pins: Mapping[str, Pin], service: str, blueprint: Blueprint) -> str:
    repository = blueprint.image(service)
    named = next((name for name, pin in pins.items() if pin.repository == repository), None)
    return named or service
