"""What Git, the cluster and the past need of the registry."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.observed import FakeReader, Observed
from fakes.promotion_world import OVERLAY, REGISTRY
from towpath.kube.errors import ForbiddenError, ServiceUnavailableError
from towpath.kube.health import Health
from towpath.kube.objects import GVK
from towpath.kube.requests import ObjectList
from towpath.registry.keeper.evidence import EvidenceError, Roots, Why
from towpath.server.keeper_evidence import PlatformEvidence

DAY = 86_400.0
PROD = "k3s/overlays/prod/kustomization.yaml"
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
async def observed(tmp_path: Path) -> AsyncIterator[Observed]:
    async with await Observed.open(tmp_path) as platform:
        yield platform


def evidence_of(observed: Observed, *, serves: bool = True) -> PlatformEvidence:
    return PlatformEvidence(observed.sources, serves=lambda _: serves)


async def pin(observed: Observed, tag: str) -> str:
    return await observed.world.push({PROD: OVERLAY.format(registry=REGISTRY, tag=tag)}, f"Pin {tag}")


def needed(roots: Roots, why: Why) -> dict[str, str]:
    """What is needed for a reason: reference -> evidence."""
    return {root.reference: root.reason.evidence for root in roots.needed if root.reason.why is why}


async def test_what_an_overlay_pins_and_pinned_at_any_commit_of_the_window_is_needed(observed: Observed) -> None:
    first = await pin(observed, "sha-1111111")
    await observed.clock.advance(10 * DAY)
    await pin(observed, "sha-2222222")
    found = needed(await evidence_of(observed).gather(), Why.PINNED)

    assert found["sha-1111111"] == f"named in prod at {first[:7]}"
    assert {"sha-1111111", "sha-2222222"} <= set(found)


async def test_what_was_replaced_before_the_window_is_not_pinned_and_what_was_in_force_when_it_began_is(
    observed: Observed,
) -> None:
    for tag in ("sha-1111111", "sha-2222222", "sha-3333333"):
        await pin(observed, tag)
        await observed.clock.advance(70 * DAY)
    found = needed(await evidence_of(observed).gather(), Why.PINNED)

    assert "sha-1111111" not in found
    assert {"sha-2222222", "sha-3333333"} <= set(found), "the second was in force 90 days ago"


async def test_the_window_is_the_blueprints(observed: Observed) -> None:
    await pin(observed, "sha-1111111")
    await observed.clock.advance(2 * DAY)
    await pin(observed, "sha-2222222")
    await observed.world.push({"towpath.yaml": f"registry: {REGISTRY}\nkeeper: {{history: 1d, releases: 1}}\n"})
    await observed.clock.advance(2 * DAY)
    found = needed(await evidence_of(observed).gather(), Why.PINNED)

    assert ("sha-1111111" in found, "sha-2222222" in found) == (False, True)


@pytest.mark.parametrize(
    ("path", "text", "reference"),
    [
        ("k3s/base/cron.yaml", f"image: {REGISTRY}/worker:sha-4444444\n", "sha-4444444"),
        ("k3s/overlays/gone/Kustomization", "images: [{name: x, newTag: 'v1.2'}]\n", "v1.2"),
        ("argo/app.yml", f"image: {REGISTRY}/worker@{DIGEST}\n", DIGEST),
        ("k3s/overlays/prod/patch.yaml", f"digest: {DIGEST}\n", DIGEST),
    ],
)
async def test_pins_outside_of_the_usual_place_are_seen_too(
    observed: Observed, path: str, text: str, reference: str
) -> None:
    await observed.world.push({path: text})
    await observed.world.push({path: "# it is gone\n"})

    assert reference in needed(await evidence_of(observed).gather(), Why.PINNED)


async def test_what_pods_run_and_what_templates_would_run_is_needed(observed: Observed) -> None:
    template = {"spec": {"template": {"spec": {"containers": [{"image": f"{REGISTRY}/sensor:sha-5555555"}]}}}}
    status = {"containerStatuses": [{"imageID": f"docker-pullable://{REGISTRY}/sensor@{DIGEST}"}]}
    observed.cluster.objects = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sensor-0", "namespace": "dev"}, "status": status},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "old", "namespace": "dev"}, **template},
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {"name": "revision", "namespace": "dev"},
            "data": {"spec": {"template": {"spec": {"initContainers": [{"image": f"x/y@sha512:{'b' * 128}"}]}}}},
        },
    ]
    found = needed(await evidence_of(observed).gather(), Why.RUNNING)

    assert found == {
        DIGEST: "Pod dev/sensor-0",
        "sha-5555555": "ReplicaSet dev/old",
        f"sha512:{'b' * 128}": "ControllerRevision dev/revision",
    }


async def test_the_last_good_releases_are_needed_however_old_and_bad_ones_are_not_counted(observed: Observed) -> None:
    settings = f"registry: {REGISTRY}\nkeeper: {{releases: 2, history: 1d}}\n"
    await observed.world.push({"towpath.yaml": settings})
    for tag in ("sha-1111111", "sha-2222222", "sha-3333333", "sha-4444444"):
        commit = await pin(observed, tag)
        bad = tag == "sha-3333333"
        await observed.run(
            "prod", commit, tag=tag, digest=f"sha256:{tag[4] * 64}", health=Health.DEGRADED if bad else Health.HEALTHY
        )
        await observed.clock.advance(100 * DAY)
    roots = await evidence_of(observed).gather()
    found = needed(roots, Why.ROLLBACK)

    assert {"sha-4444444", "sha-2222222"} <= set(found)
    assert not {"sha-1111111", "sha-3333333"} & set(found)
    assert {f"sha256:{'4' * 64}", f"sha256:{'2' * 64}"} <= set(found)
    assert found["sha-2222222"].startswith("release of prod since ")
    assert {root.repository for root in roots.needed if root.reference == "sha-4444444"} == {"", "home/sensor"}


async def test_repositories_of_services_and_sets_are_managed_if_they_are_on_this_registry(observed: Observed) -> None:
    ours, others = await evidence_of(observed).gather(), await evidence_of(observed, serves=False).gather()

    assert (ours.managed, ours.sets) == (frozenset({"home/sensor", "home/sets"}), frozenset({"home/sets"}))
    assert not others.managed
    assert not others.sets


async def test_the_mark_changes_with_the_branch(observed: Observed) -> None:
    evidence = evidence_of(observed)
    roots = await evidence.gather()
    assert await evidence.find_mark() == roots.mark
    await pin(observed, "sha-1111111")

    assert await evidence.find_mark() != roots.mark


class Broken(FakeReader):
    """A cluster that does not answer."""

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        del gvk, namespace, labels, fields
        raise ServiceUnavailableError("the API server is away")


class Narrow(FakeReader):
    """A cluster that lets look into one namespace only."""

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        del labels, fields
        if not namespace:
            raise ForbiddenError("not in all namespaces")
        status = {"containerStatuses": [{"imageID": f"x@{DIGEST}"}]}
        name = {"name": "sensor-0", "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": name, "status": status}
        return ObjectList([pod] if gvk.kind == "Pod" else [], "1")


async def test_where_rights_end_at_namespaces_those_are_looked_at_and_the_rest_is_named_as_unseen(
    observed: Observed,
) -> None:
    observed.sources = replace(observed.sources, client=Narrow())

    roots = await evidence_of(observed).gather()

    assert needed(roots, Why.RUNNING) == {DIGEST: "Pod prod/sensor-0"}
    assert roots.unseen.startswith("Pod, ReplicaSet, ")
    assert roots.unseen.endswith("CronJob outside of dev, prod")


async def test_where_everything_may_be_seen_nothing_is_unseen(observed: Observed) -> None:
    assert (await evidence_of(observed).gather()).unseen == ""


def without_cluster(observed: Observed) -> None:
    observed.sources = replace(observed.sources, client=Broken())


def without_git(observed: Observed) -> None:
    for path in (observed.repository.path / "objects").rglob("*"):
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("harm", [without_cluster, without_git])
async def test_without_one_of_its_sources_there_is_no_evidence_at_all(
    observed: Observed, harm: Callable[[Observed], Any]
) -> None:
    harm(observed)
    with pytest.raises(EvidenceError, match="NoEvidence"):
        await evidence_of(observed).gather()


async def test_a_broken_blueprint_is_no_evidence(observed: Observed) -> None:
    await observed.world.push({"towpath.yaml": "nmae: x\n"})
    with pytest.raises(EvidenceError):
        await evidence_of(observed).gather()
