"""The ninth check: where an environment demands it, only what a trusted key stands for enters."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fakes.promotion_world import World, make_world
from towpath.attest.findings import Finding, failed, insufficient, passed
from towpath.blueprint.model import Blueprint
from towpath.oci.reference import Reference
from towpath.promote.gate import Verdict
from towpath.promote.gate.verdict import CheckResult
from towpath.promote.promotion import Desk, PromotionRequest, promote


@dataclass
class StatedAttestations:
    """Satisfies `Attestations`: finds what it is told to find, and notes what it was asked."""

    findings: Sequence[Finding] = (passed("signature", "signed"), passed("sbom", "readable"))
    keys: Sequence[str] = ("abc",)
    asked: list[tuple[Reference, str]] = field(default_factory=list)

    def trusted(self) -> Sequence[str]:
        return self.keys

    async def examine(self, reference: Reference, commit: str) -> Sequence[Finding]:
        self.asked.append((reference, commit))
        return self.findings


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await make_world(tmp_path)


def desk(world: World, attestations: StatedAttestations | None, *, demand: str = "required") -> Desk:
    async def blueprint(commit: str) -> Blueprint:
        found = await world.blueprint(commit)
        environments = {name: replace(one, attestation=demand) for name, one in found.environments.items()}
        return replace(found, environments=environments)

    return replace(world.desk(), blueprint=blueprint, attestations=attestations)


async def ask(where: Desk, tag: str) -> CheckResult | None:
    outcome = await promote(where, PromotionRequest(("sensor",), "prod", tag, dry_run=True))
    return next((result for result in outcome.gates["sensor"].results if result.check == "attested"), None)


async def test_what_a_trusted_key_stands_for_enters(world: World) -> None:
    tag = await world.build("second")
    attestations = StatedAttestations()
    result = await ask(desk(world, attestations), tag)
    assert result is not None
    assert (result.verdict, result.evidence) == (Verdict.PASSED, "2 checks of what 1 trusted keys signed")
    ((reference, commit),) = attestations.asked
    assert reference.digest is not None
    assert commit.startswith(tag.removeprefix("sha-"))


async def test_an_environment_that_does_not_ask_is_not_asked_about(world: World) -> None:
    tag = await world.build("second")
    attestations = StatedAttestations(findings=(failed("signature", "UNSIGNED", "sign it"),))
    assert await ask(desk(world, attestations, demand="optional"), tag) is None
    assert attestations.asked == []


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (failed("signature", "UNSIGNED", "sign it"), Verdict.FAILED),
        (insufficient("sbom", "none", "sign it"), Verdict.INSUFFICIENT),
    ],
)
async def test_the_first_thing_that_is_wrong_is_named(world: World, finding: Finding, verdict: Verdict) -> None:
    tag = await world.build("second")
    result = await ask(desk(world, StatedAttestations(findings=(passed("image", "x"), finding))), tag)
    assert result is not None
    assert (result.verdict, result.next_step) == (verdict, "sign it")
    assert result.evidence == f"{finding.check}: {finding.evidence}"


@pytest.mark.parametrize("attestations", [None, StatedAttestations(keys=())])
async def test_a_demand_without_a_trusted_key_lets_nothing_in(
    world: World, attestations: StatedAttestations | None
) -> None:
    tag = await world.build("second")
    result = await ask(desk(world, attestations), tag)
    assert result is not None
    assert result.verdict is Verdict.INSUFFICIENT
    assert "towpath keys create" in result.next_step


async def test_without_an_image_there_is_nothing_to_look_at(world: World) -> None:
    result = await ask(desk(world, StatedAttestations()), "sha-7654321")
    assert result is not None
    assert result.verdict is Verdict.INSUFFICIENT
