"""What runs where."""

import pytest

from fakes.observed import Observed
from towpath.ci.report import CiReport, Outcome
from towpath.errors import NotFoundError
from towpath.kube.health import Health
from towpath.kube.objects import ObjectKey
from towpath.observe.environments import describe_platform
from towpath.oci.tags import sha_tag
from towpath.reconcile.artifacts import Artifact
from towpath.reconcile.health import PodFacts
from towpath.reconcile.status import Hold, Problem, ServiceStatus


async def test_a_service_is_shown_with_its_commit_its_age_and_its_pods(observed: Observed) -> None:
    commit = await observed.world.push({"services/sensor/main.py": "second"}, "Read faster")
    await observed.run("dev", commit)
    await observed.clock.advance(90)

    document = await describe_platform(observed.sources)

    (dev, prod) = document["environments"]
    (sensor,) = dev["services"]
    assert (sensor["tag"], sensor["channel"]) == (sha_tag(commit), "canary")
    assert (sensor["commit"], sensor["subject"]) == (commit, "Read faster")
    assert (sensor["age_seconds"], sensor["ready"], sensor["verdict"]) == (90.0, 1, "healthy")
    assert (dev["sync"], dev["health"]) == ("Synced", "Healthy")
    assert prod["services"] == []
    assert document["head"]["subject"] == "Read faster"


async def test_one_environment_may_be_asked_for(observed: Observed) -> None:
    document = await describe_platform(observed.sources, environment="prod")

    assert [one["name"] for one in document["environments"]] == ["prod"]
    with pytest.raises(NotFoundError, match="environment staging is not known"):
        await describe_platform(observed.sources, environment="staging")


async def test_a_broken_blueprint_does_not_hide_what_runs(observed: Observed) -> None:
    await observed.world.push({"towpath.yaml": "nmae: lab\n"})

    document = await describe_platform(observed.sources)

    assert "nmae" in document["problem"]
    assert [one["name"] for one in document["environments"]] == ["dev", "prod"]


async def test_what_stands_in_the_way_comes_with_the_next_step(observed: Observed) -> None:
    observed.change(
        "dev",
        problem=Problem("overlay cannot be rendered", 1.0, "mend it"),
        hold=Hold("holiday", 1.0, "ada", 5.0),
    )

    (dev, _) = (await describe_platform(observed.sources))["environments"]

    assert (dev["message"], dev["next"]) == ("overlay cannot be rendered", "mend it")
    assert dev["hold"] == {"reason": "holiday", "by": "ada", "until": 5.0}


async def test_wanted_pods_are_counted_from_the_workloads_that_exist(observed: Observed) -> None:
    keys = (
        ObjectKey("apps", "StatefulSet", "dev", "sensor"),
        ObjectKey("apps", "Deployment", "dev", "one"),
        ObjectKey("apps", "Deployment", "dev", "not-created-yet"),
        ObjectKey("example.org", "Unknown", "dev", "thing"),
    )
    artifact = Artifact("sensor", "r/sensor:canary", "canary", "sha256:1", "", "canary", workloads=keys)
    service = ServiceStatus("sensor", artifact, Health.PROGRESSING, pods=(PodFacts(1, 3, (("sha256:1", 3),)),))
    observed.change("dev", services={"sensor": service})
    metadata = {"name": "sensor", "namespace": "dev"}
    observed.cluster.objects = [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": 3}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**metadata, "name": "one"}, "spec": {}},
    ]

    (dev, _) = (await describe_platform(observed.sources))["environments"]

    assert (dev["services"][0]["ready"], dev["services"][0]["desired"]) == (1, 4)
    assert (dev["services"][0]["tag"], dev["services"][0]["commit"]) == ("canary", "")


async def test_the_newest_build_is_part_of_the_picture(observed: Observed) -> None:
    head = await observed.world.head()
    observed.builds.all = [CiReport(head, Outcome.FAILED, 1.0, error="services/sensor has no main.py")]

    document = await describe_platform(observed.sources)

    assert (document["ci"]["outcome"], document["ci"]["message"]) == ("failed", "services/sensor has no main.py")


async def test_a_commit_is_read_from_git_once(observed: Observed) -> None:
    commit = await observed.world.push({"services/sensor/main.py": "second"})
    first = await observed.sources.find_commit(commit)

    assert commit in observed.sources.commits
    assert await observed.sources.find_commit(commit) is first
    assert await observed.sources.find_commit("") is None
    assert await observed.sources.find_commit("0" * 40) is None
