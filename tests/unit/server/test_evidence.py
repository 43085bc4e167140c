"""What the gate asks about the runtime."""

from pathlib import Path

import pytest

from fakes.observed import Observed
from towpath.kube.health import Health
from towpath.promote.rollback import Standing as PastStanding
from towpath.reconcile.health import PodFacts
from towpath.reconcile.status import ServiceStatus
from towpath.reconcile.verdicts import Outcome
from towpath.server.evidence import ReconciledRuntime


async def test_a_healthy_version_stands_since_its_verdict(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        runtime = ReconciledRuntime(observed.applications)
        artifact = await observed.run("dev", await observed.world.head())
        began = observed.clock.now()
        await observed.clock.advance(60)

        standing = await runtime.standing("dev", "sensor")

    assert standing is not None
    assert (standing.digest, standing.healthy_since) == (artifact.digest, began)


async def test_what_does_not_run_there_has_no_standing(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        runtime = ReconciledRuntime(observed.applications)
        observed.change("prod", services={"sensor": ServiceStatus("sensor", None, Health.MISSING)})

        assert await runtime.standing("staging", "sensor") is None
        assert await runtime.standing("dev", "sensor") is None
        assert await runtime.standing("prod", "sensor") is None


async def test_two_versions_at_once_prove_nothing(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        runtime = ReconciledRuntime(observed.applications)
        head = await observed.world.head()
        digests = ((f"sha256:{head[:1] * 64}", 1), ("sha256:old", 1))
        await observed.run("dev", head, pods=[PodFacts(2, 2, digests)])

        standing = await runtime.standing("dev", "sensor")

    assert standing is not None
    assert standing.healthy_since is None
    assert "a rollout is under way" in standing.message


async def test_an_unhealthy_version_says_why(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        runtime = ReconciledRuntime(observed.applications)
        await observed.run("dev", await observed.world.head(), health=Health.DEGRADED, message="crash loop")

        standing = await runtime.standing("dev", "sensor")

    assert standing is not None
    assert (standing.healthy_since, standing.message) == (None, "crash loop")


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health.HEALTHY, PastStanding.HEALTHY),
        (Health.DEGRADED, PastStanding.DEGRADED),
        (Health.PROGRESSING, PastStanding.UNKNOWN),
    ],
)
async def test_the_past_of_a_digest_is_its_last_verdict(tmp_path: Path, health: Health, expected: PastStanding) -> None:
    async with await Observed.open(tmp_path) as observed:
        runtime = ReconciledRuntime(observed.applications)
        artifact = await observed.run("prod", await observed.world.head(), health=health)

        assert await runtime.standing_of("prod", "sensor", artifact.digest) is expected
        assert await runtime.standing_of("prod", "sensor", "sha256:never") is PastStanding.UNKNOWN
        head = await observed.world.head()
        await observed.verdicts.roll_back("prod", "sensor", artifact.digest, reason="bad", commit=head)
        found = observed.verdicts.find_last_known("prod", "sensor", artifact.digest)
        assert found is not None
        assert found.outcome is Outcome.ROLLED_BACK
        assert await runtime.standing_of("prod", "sensor", artifact.digest) is PastStanding.DEGRADED
