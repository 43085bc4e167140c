"""A promotion: run the gate, then move the pins by one commit.

1. Read the branch's head, the blueprint and the overlay's pins.
2. Resolve each service's candidate and run the gate on it.
3. Stop here when a verdict is not `passed`, when this is a dry run, or when every pin already names its candidate.
4. Edit the overlay and commit it on top of the head of step 1. If the branch has moved, begin again at step 1: another
   promotion may have changed what the gate judges.
5. Announce the commit, so that the reconciler need not wait for its timer.

Nothing before step 4 writes, and step 4 is one atomic ref update: a crash leaves either no promotion or a whole one.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from towpath.aio.clock import Clock
from towpath.blueprint.model import Blueprint
from towpath.errors import ConflictError, UserError
from towpath.oci.platform import Platform
from towpath.promote.candidate import Lookup, NoVersionYetError, resolve_candidate
from towpath.promote.gate import Candidate, Evidence, GateReport, Verdict, run_gate, verification
from towpath.promote.gate.evidence import Artifacts, Attestations, History, Runtime
from towpath.promote.gate.verdict import insufficient
from towpath.promote.ledger import quarantined, read_ledger
from towpath.promote.pins import Pin, read_pins, set_pins
from towpath.promote.preview import ObjectDiff, Preview
from towpath.promote.repository import PlatformRepository, get_head, get_overlay
from towpath.promote.trailers import Act, Move, Record, format_message
from towpath.source.repository import StaleBranchError

# Each try costs some git processes; ten writers at once are more than a small team has.
ATTEMPTS = 10
AUTHOR = "Towpath <towpath@localhost>"


@dataclass(frozen=True, slots=True)
class PromotionRequest:
    """What a person asks for. `version` is empty for what the environment before runs."""

    services: tuple[str, ...]
    environment: str
    version: str = ""
    by: str = ""
    dry_run: bool = False
    allow_downgrade: bool = False


@dataclass(frozen=True, slots=True)
class PromotionOutcome:
    """What came of a request. `commit` is None when nothing was written; `diff` is what it changes or would change."""

    environment: str
    gates: Mapping[str, GateReport]
    moves: tuple[Move, ...]
    commit: str | None
    diff: tuple[ObjectDiff, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all services."""
        return GateReport(tuple(result for gate in self.gates.values() for result in gate.results)).verdict


@dataclass(frozen=True, slots=True)
class Desk:
    """All that promotion and rollback work with; the server puts it together.

    Attributes:
        repository: the platform repository.
        history: the same, as the checks see it.
        blueprint: reads the blueprint at a commit.
        artifacts: the registry, with the platform's credentials.
        artifacts_of: the registry, with the pull secret of an environment.
        runtime: what runs where.
        preview: renders the effect of an edited overlay.
        platform: what the nodes run.
        clock: the time.
        announce: called with the branch after a commit, and when it turns out to have moved.
        attestations: what is attached to images; None where nobody looks at that.
    """

    repository: PlatformRepository
    history: History
    blueprint: Callable[[str], Awaitable[Blueprint]]
    artifacts: Artifacts
    artifacts_of: Callable[[str], Awaitable[Artifacts]]
    runtime: Runtime
    preview: Preview
    platform: Platform
    clock: Clock
    announce: Callable[[str], Awaitable[None]]
    branch: str = "main"
    attestations: Attestations | None = None

    async def evidence(self, blueprint: Blueprint, environment: str, *, allow_downgrade: bool = False) -> Evidence:
        """What the gate looks at when something asks to enter `environment`."""
        overlays = [known.overlay for known in blueprint.environments.values()]
        entries = await read_ledger(self.repository, self.branch, overlays=overlays)
        return Evidence(
            history=self.history,
            artifacts=self.artifacts,
            as_environment=await self.artifacts_of(environment),
            runtime=self.runtime,
            quarantined=quarantined(entries),
            platform=self.platform,
            now=self.clock.now(),
            allow_downgrade=allow_downgrade,
            attestations=self.attestations,
        )


async def promote(desk: Desk, request: PromotionRequest) -> PromotionOutcome:
    """Promote one or several services into an environment.

    Raises:
        NotFoundError: no such service or environment, or nothing was pushed yet.
        UserError: the request makes no sense.
        ConflictError: other writers were faster every time.
    """
    if request.version and len(request.services) != 1:
        raise UserError(
            "promotion cannot start (Ambiguous): one version was named for several services",
            hint="promote them one by one, or leave the version out to take what the environment before runs",
        )
    for _ in range(ATTEMPTS):
        try:
            return await _attempt(desk, request)
        except StaleBranchError:
            await desk.announce(desk.branch)  # a mirror of an outside repository has to catch up first
    raise ConflictError(
        f"promotion to {request.environment} was not written (Busy): {desk.branch} moved {ATTEMPTS} times meanwhile",
        hint="try again in a moment",
    )


async def _attempt(desk: Desk, request: PromotionRequest) -> PromotionOutcome:
    head = await get_head(desk.repository, desk.branch)
    blueprint = await desk.blueprint(head)
    environment = blueprint.get_environment(request.environment)
    path, text = await get_overlay(desk.repository, head, environment)
    pins = read_pins(text, file=path)
    lookup = Lookup(blueprint, desk.history, desk.artifacts, desk.runtime, desk.platform)
    evidence = await desk.evidence(blueprint, environment.name, allow_downgrade=request.allow_downgrade)
    gates: dict[str, GateReport] = {}
    moves: list[Move] = []
    edits: dict[str, Pin] = {}
    for service in request.services:
        try:
            candidate = await resolve_candidate(lookup, service, environment.name, request.version, pins)
        except NoVersionYetError as error:  # as good as an unfinished soak: waiting may help
            gates[service] = GateReport((insufficient(verification.NAME, error.message, error.hint),))
            continue
        gates[service] = await run_gate(candidate, evidence)
        if candidate.image is not None and (candidate.current is None or candidate.current.tag != candidate.tag):
            moves.append(move_of(candidate))
            edits[_pin_name(candidate)] = _pin(candidate, blueprint)
    outcome = PromotionOutcome(environment.name, gates, tuple(moves), None, ())
    edited = set_pins(text, edits, file=path)
    if edits and (request.dry_run or outcome.verdict is Verdict.PASSED):
        diff = await desk.preview.diff(head, environment, path, edited)
        outcome = PromotionOutcome(environment.name, gates, tuple(moves), None, tuple(diff))
    if request.dry_run or not edits or outcome.verdict is not Verdict.PASSED:
        return outcome
    record = Record(Act.PROMOTE, environment.name, tuple(moves), gate=_gate_line(gates), by=request.by)
    commit = await commit_pins(desk, {path: edited}, record, parent=head)
    return PromotionOutcome(environment.name, gates, tuple(moves), commit, outcome.diff)


async def commit_pins(desk: Desk, files: Mapping[str, str], record: Record, *, parent: str) -> str:
    """Write one commit that moves pins, and announce it. Raises StaleBranchError."""
    commit = await desk.repository.commit_files(
        desk.branch,
        {path: text.encode() for path, text in files.items()},
        message=format_message(record),
        author=AUTHOR,
        parent=parent,
    )
    await desk.announce(desk.branch)
    return commit


def move_of(candidate: Candidate) -> Move:
    """The move that would bring a candidate into its environment."""
    digest = str(candidate.image.descriptor.digest) if candidate.image else ""
    previous = candidate.current.tag if candidate.current else ""
    return Move(candidate.service.name, candidate.tag, digest, candidate.commit or "", previous)


def _pin_name(candidate: Candidate) -> str:
    return candidate.current.name if candidate.current else candidate.service.name


def _pin(candidate: Candidate, blueprint: Blueprint) -> Pin:
    new_name = candidate.current.new_name if candidate.current else blueprint.image(candidate.service.name)
    return Pin(_pin_name(candidate), new_name, candidate.tag)


def _gate_line(gates: Mapping[str, GateReport]) -> str:
    count = sum(len(gate.results) for gate in gates.values())
    return f"{Verdict.PASSED} ({count} checks)"
