"""Where a commit runs."""

import pytest

from fakes.observed import Observed
from towpath.ci.report import CiReport, Outcome, ServiceOutcome, ServiceReport
from towpath.errors import NotFoundError
from towpath.observe.whereabouts import describe_whereabouts
from towpath.oci.tags import sha_tag
from towpath.reconcile.health import PodFacts


@pytest.mark.parametrize("form", ["{commit}", "{short}", "sha-{short}", "main"])
async def test_a_commit_is_found_under_each_of_its_names(observed: Observed, form: str) -> None:
    commit = await observed.world.push({"services/sensor/main.py": "second"}, "Read faster")
    await observed.run("dev", commit)
    await observed.clock.advance(5)
    report = ServiceReport("sensor", ServiceOutcome.BUILT, digest="sha256:1", revision=commit)
    observed.builds.all = [CiReport(commit, Outcome.PUBLISHED, 1.0, services=(report,))]

    document = await describe_whereabouts(observed.sources, form.format(commit=commit, short=commit[:7]))

    assert (document["commit"], document["subject"]) == (commit, "Read faster")
    (sensor,) = document["services"]
    assert (sensor["tag"], sensor["state"], sensor["digest"]) == (sha_tag(commit), "built", "sha256:1")
    assert sensor["environments"] == [{"environment": "dev", "state": "running, healthy", "age_seconds": 5.0}]


async def test_another_commit_with_the_same_source_is_the_same_version(observed: Observed) -> None:
    built = await observed.world.push({"services/sensor/main.py": "second"})
    later = await observed.world.push({"README.md": "hello"})
    other = await observed.world.push({"services/sensor/main.py": "third"})
    await observed.run("dev", built)

    (same,) = (await describe_whereabouts(observed.sources, later))["services"]
    (different,) = (await describe_whereabouts(observed.sources, other))["services"]

    assert [place["environment"] for place in same["environments"]] == ["dev"]
    assert (same["state"], different["environments"]) == ("unknown", [])


async def test_a_rollout_under_way_says_how_far_it_is(observed: Observed) -> None:
    commit = await observed.world.push({"services/sensor/main.py": "second"})
    new, old = f"sha256:{commit[:1] * 64}", "sha256:old"
    for digests, expected in (
        (((new, 1), (old, 2)), "running in 1 of 3 pods"),
        (((old, 3),), "named, not running"),
    ):
        await observed.run("dev", commit, pods=[PodFacts(1, 3, digests)])
        (sensor,) = (await describe_whereabouts(observed.sources, commit))["services"]
        assert sensor["environments"][0]["state"] == expected


async def test_a_commit_that_does_not_exist_is_not_found(observed: Observed) -> None:
    with pytest.raises(NotFoundError, match="neither a commit nor a branch nor a sha- tag"):
        await describe_whereabouts(observed.sources, "sha-0123456")
