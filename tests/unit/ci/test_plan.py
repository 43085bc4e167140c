"""Which services are affected, from trees and settings alone."""

from dataclasses import replace

import pytest

from towpath.blueprint.model import Service
from towpath.ci.plan import commit_to_build, fingerprint, plan_rebuild, plan_set
from towpath.ci.sets import Artifact
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest

SENSOR = Service("sensor", "services/sensor")
CHAOS = Service("chaos", "services/chaos")
BOTH = {"sensor": SENSOR, "chaos": CHAOS}


def artifact(service: Service, tree_id: str, *, revision: str = "old", content: bytes = b"image") -> Artifact:
    descriptor = Descriptor(media.OCI_MANIFEST, Digest.of(content), len(content))
    return Artifact(service.name, descriptor, revision, tree_id, fingerprint(service))


def test_at_the_first_push_everything_is_new() -> None:
    plan = plan_set(BOTH, {"sensor": "t1", "chaos": "t2"}, [])

    assert [(build.service.name, build.reason) for build in plan.builds] == [("chaos", "new"), ("sensor", "new")]
    assert plan.carried == ()


def test_only_the_service_whose_tree_changed_is_built() -> None:
    known = [artifact(SENSOR, "t1"), artifact(CHAOS, "t2")]
    plan = plan_set(BOTH, {"sensor": "t1b", "chaos": "t2"}, known)

    assert [(build.service.name, build.reason) for build in plan.builds] == [("sensor", "its files changed")]
    assert plan.carried == (known[1],)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SENSOR, static="public"),
        replace(SENSOR, static=".", into="/srv"),
        replace(SENSOR, binary="sensor"),
        replace(SENSOR, requirements=None),
        replace(SENSOR, base="r.example/python:3"),
        replace(SENSOR, entrypoint=("python3", "-m", "sensor")),
        replace(SENSOR, env={"MODE": "x"}),
        replace(SENSOR, port=9000),
        replace(SENSOR, user="1000"),
    ],
)
def test_changed_settings_build_the_service_again(changed: Service) -> None:
    plan = plan_set({"sensor": changed}, {"sensor": "t1"}, [artifact(SENSOR, "t1")])

    assert [build.reason for build in plan.builds] == ["its settings changed"]


def test_a_moved_directory_with_the_same_tree_is_carried() -> None:
    moved = replace(SENSOR, path="apps/sensor")

    assert plan_set({"sensor": moved}, {"sensor": "t1"}, [artifact(SENSOR, "t1")]).builds == ()


def test_a_renamed_service_is_built_for_its_new_repository() -> None:
    plan = plan_set({"probe": replace(SENSOR, name="probe")}, {"probe": "t1"}, [artifact(SENSOR, "t1")])

    assert [(build.service.name, build.reason) for build in plan.builds] == [("probe", "renamed from sensor")]
    assert plan.removed == ("sensor",)


def test_a_removed_service_is_neither_built_nor_carried() -> None:
    plan = plan_set({"sensor": SENSOR}, {"sensor": "t1"}, [artifact(SENSOR, "t1"), artifact(CHAOS, "t2")])

    assert plan.removed == ("chaos",)
    assert [found.service for found in plan.carried] == ["sensor"]


def test_a_revert_takes_the_image_it_goes_back_to() -> None:
    known = [artifact(SENSOR, "bad", revision="c2"), artifact(SENSOR, "good", revision="c1")]

    assert plan_set({"sensor": SENSOR}, {"sensor": "good"}, known).carried == (known[1],)


def test_of_two_images_of_one_tree_the_nearest_is_taken() -> None:
    known = [artifact(SENSOR, "t", revision="near"), artifact(SENSOR, "t", revision="far", content=b"other")]

    assert plan_set({"sensor": SENSOR}, {"sensor": "t"}, known).carried == (known[0],)


@pytest.mark.parametrize("tree", [None, ""])
def test_a_service_without_a_directory_is_missing(tree: str | None) -> None:
    plan = plan_set(BOTH, {"sensor": tree, "chaos": "t2"}, [])

    assert plan.missing == (SENSOR,)
    assert [build.service.name for build in plan.builds] == ["chaos"]


def test_a_platform_without_services_has_an_empty_plan() -> None:
    plan = plan_set({}, {}, [])

    assert (plan.builds, plan.carried, plan.missing, plan.removed) == ((), (), (), ())


def test_a_carried_image_that_is_gone_is_built_again() -> None:
    plan = plan_set(BOTH, {"sensor": "t1", "chaos": "t2"}, [artifact(SENSOR, "t1"), artifact(CHAOS, "t2")])
    again = plan_rebuild(plan, BOTH, ["sensor"], reason="its image is gone from the registry")

    assert [(build.service.name, build.tree_id) for build in again.builds] == [("sensor", "t1")]
    assert "gone" in again.builds[0].reason
    assert [found.service for found in again.carried] == ["chaos"]


@pytest.mark.parametrize(
    ("ref", "after", "expected"),
    [
        ("refs/heads/main", "a" * 40, "a" * 40),
        ("refs/heads/main", "0" * 40, None),
        ("refs/heads/feature", "a" * 40, None),
        ("refs/heads/main/sub", "a" * 40, None),
        ("refs/tags/main", "a" * 40, None),
        ("refs/heads/main", "", None),
    ],
)
def test_only_commits_of_the_branch_are_built(ref: str, after: str, expected: str | None) -> None:
    assert commit_to_build(ref, after, branch="main") == expected
