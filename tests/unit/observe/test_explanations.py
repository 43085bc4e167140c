"""Why something is not as it should be."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import START
from fakes.observed import Observed
from towpath.ci.report import CiReport, Outcome, ServiceOutcome, ServiceReport
from towpath.errors import NotFoundError
from towpath.kube.diff import FieldChange
from towpath.kube.health import Health
from towpath.kube.objects import ObjectKey
from towpath.observe.explanations import explain
from towpath.observe.history import describe_history
from towpath.observe.output import ServiceOutput
from towpath.observe.waterfalls import describe_timeline
from towpath.reconcile.artifacts import Artifact
from towpath.reconcile.drift import DriftedField, DriftRecord, DriftState
from towpath.reconcile.status import Hold, Problem, ServiceStatus, Sync
from towpath.source.remote import RemoteStatus


async def test_where_all_is_well_it_says_so(observed: Observed) -> None:
    observed.change("dev", revision="a" * 40)

    findings = (await explain(observed.sources))["findings"]

    assert [(one["subject"], one["reason"]) for one in findings] == [("dev", "all is well"), ("prod", "all is well")]
    assert findings[0]["evidence"] == "revision aaaaaaa"


async def test_a_problem_comes_with_its_moment_and_its_age(observed: Observed) -> None:
    observed.change("dev", problem=Problem("overlay cannot be rendered", START, "mend it"))
    await observed.clock.advance(150)

    (finding,) = (await explain(observed.sources, environment="dev"))["findings"]

    assert finding == {
        "subject": "dev",
        "state": "failed",
        "reason": "overlay cannot be rendered",
        "evidence": "since 2026-01-31T09:30:00Z (2m ago)",
        "next": "mend it",
    }


async def test_waiting_for_a_first_build_is_no_failure(observed: Observed) -> None:
    observed.change("dev", problem=Problem("waiting for the first build of sensor", START, waiting=True))

    (finding,) = (await explain(observed.sources, environment="dev"))["findings"]

    assert finding["state"] == "waiting"


async def test_a_hold_is_named_with_who_and_how_to_end_it(observed: Observed) -> None:
    observed.change("prod", hold=Hold("holiday", START, "ada"), sync=Sync.OUT_OF_SYNC, sync_message="one differs")

    findings = (await explain(observed.sources, environment="prod"))["findings"]

    assert [one["state"] for one in findings] == ["on hold", "OutOfSync"]
    assert findings[0]["evidence"] == "by ada, since 2026-01-31T09:30:00Z (0s ago)"
    assert findings[0]["next"] == "towpath hold prod --release"
    assert findings[1]["next"] == "towpath diff prod"


async def test_drift_names_the_field_who_changed_it_and_when(observed: Observed) -> None:
    field = DriftedField(FieldChange("spec.replicas", 1, 3), "kubectl-scale")
    record = DriftRecord(
        ObjectKey("apps", "StatefulSet", "dev", "sensor"), (field,), START, DriftState.HEALED, START + 2
    )
    observed.change("dev", drift=(record,))
    await observed.clock.advance(20)

    (finding,) = (await explain(observed.sources, environment="dev"))["findings"]

    assert "by kubectl-scale" in finding["reason"]
    assert finding["evidence"] == "found 2026-01-31T09:30:00Z (20s ago), undone after 2s"


async def test_drift_that_is_only_reported_says_what_to_do(observed: Observed) -> None:
    record = DriftRecord(ObjectKey("", "ConfigMap", "dev", "a"), (), START, DriftState.REPORTED, deleted=True)
    observed.change("dev", drift=(record,))

    (finding,) = (await explain(observed.sources, environment="dev"))["findings"]

    assert (finding["state"], finding["next"]) == ("reported", "commit the change, or undo it")


async def test_a_service_that_is_not_promoted_names_the_promotion(observed: Observed) -> None:
    observed.change("prod", services={"sensor": ServiceStatus("sensor", None, Health.MISSING)})

    (finding,) = (await explain(observed.sources, environment="prod", service="sensor"))["findings"]

    assert (finding["state"], finding["next"]) == ("not promoted", "towpath promote sensor --to prod")


async def test_an_unhealthy_service_gives_its_pods_own_words(observed: Observed) -> None:
    await observed.run("dev", await observed.world.head(), health=Health.DEGRADED, message="pod sensor-0: crash loop")

    (finding,) = (await explain(observed.sources, environment="dev", service="sensor"))["findings"]

    assert (finding["subject"], finding["reason"]) == ("dev/sensor", "pod sensor-0: crash loop")
    assert finding["evidence"].startswith("1 of 1 pods ready, version canary")


@pytest.mark.parametrize(
    ("outcome", "hint"),
    [(Outcome.FAILED, "mend it and push again"), (Outcome.RETRYING, "it is tried again by itself")],
)
async def test_a_build_that_failed_comes_first(observed: Observed, outcome: Outcome, hint: str) -> None:
    head = await observed.world.head()
    report = ServiceReport("sensor", ServiceOutcome.FAILED, error="no entrypoint")
    observed.builds.all = [CiReport(head, outcome, 1.0, services=(report,), error="set is not published")]

    findings = (await explain(observed.sources))["findings"]

    assert findings[0]["subject"] == f"build of {head[:7]}, service sensor"
    assert (findings[0]["reason"], findings[0]["next"]) == ("no entrypoint", hint)


async def test_a_build_that_failed_as_a_whole_is_told_once(observed: Observed) -> None:
    head = await observed.world.head()
    observed.builds.all = [CiReport(head, Outcome.RETRYING, 1.0, error="registry does not answer")]

    findings = (await explain(observed.sources, environment="dev"))["findings"]

    assert [one["reason"] for one in findings] == ["registry does not answer", "all is well"]


async def test_an_outside_repository_that_does_not_answer_is_the_first_finding(observed: Observed) -> None:
    problem = "it refuses our credentials (Unauthorized)\n  next: check the token"
    observed.remote = RemoteStatus(
        "https://git.example/lab.git", START, next_look_at=START + 320, failures=3, problem=problem
    )
    await observed.clock.advance(300)

    finding = (await explain(observed.sources))["findings"][0]

    assert finding["subject"] == "https://git.example/lab.git"
    assert finding["evidence"] == "last answer 2026-01-31T09:30:00Z (5m ago), 3 failures since, next look in 20s"
    assert finding["next"] == "check the token"


async def test_a_broken_blueprint_is_a_finding_and_unknown_names_are_errors(observed: Observed) -> None:
    with pytest.raises(NotFoundError, match="service lamp"):
        await explain(observed.sources, service="lamp")
    with pytest.raises(NotFoundError, match="environment staging"):
        await explain(observed.sources, environment="staging")
    await observed.world.push({"towpath.yaml": "nmae: lab\n"})

    findings = (await explain(observed.sources))["findings"]

    assert (findings[0]["subject"], findings[0]["state"]) == ("blueprint", "failed")


async def test_what_stops_every_environment_is_told_once(observed: Observed) -> None:
    await observed.world.push({"towpath.yaml": "nmae: lab\n"})
    (blueprint, *_) = (await explain(observed.sources))["findings"]
    for name in ("dev", "prod"):
        observed.change(name, problem=Problem(blueprint["reason"], START))

    findings = (await explain(observed.sources))["findings"]

    assert [one["subject"] for one in findings] == ["blueprint"]


async def test_nothing_pushed_yet_names_the_push(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        observed.sources = replace(observed.sources, branch="trunk")
        finding = (await explain(observed.sources))["findings"][0]

        assert (finding["state"], finding["next"]) == ("empty", "git push towpath trunk")
        assert (await describe_history(observed.sources)) == {"entries": []}
        assert (await describe_timeline(observed.sources)) == {"waterfalls": []}
        with pytest.raises(NotFoundError, match="nothing was pushed yet"):
            await ServiceOutput(observed.sources, Silence()).open(
                environment="", service="sensor", pod="", follow=False, previous=False, tail=1
            )


class Silence:
    """Satisfies `observe.output.PodLogs`."""

    async def logs(self, namespace: str, pod: str, container: str, **options: object) -> AsyncIterator[bytes]:
        del namespace, pod, container, options
        yield b""


async def test_what_the_head_has_dropped_is_named_and_left_as_it_is(observed: Observed) -> None:
    observed.applications.statuses["qa"] = replace(observed.applications.status("dev"), environment="qa")
    artifact = Artifact("lamp", "r/lamp:canary", "canary", "sha256:1", "", "canary")
    observed.change("dev", services={"lamp": ServiceStatus("lamp", artifact, Health.HEALTHY)})

    findings = {one["subject"]: one for one in (await explain(observed.sources))["findings"]}

    assert findings["dev/lamp"]["state"] == "not in Git"
    assert "remove it from what k3s/overlays/dev lists" in findings["dev/lamp"]["next"]
    assert findings["qa"]["state"] == "not in Git"
    assert "kubectl delete namespace qa" in findings["qa"]["next"]


async def test_an_environment_that_was_just_added_is_not_reconciled_yet(observed: Observed) -> None:
    del observed.applications.statuses["prod"]

    (finding,) = (await explain(observed.sources, environment="prod"))["findings"]

    assert (finding["state"], finding["reason"]) == ("Unknown", "not reconciled yet")
