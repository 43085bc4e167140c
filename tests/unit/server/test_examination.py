"""`doctor` on a running platform."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import START
from fakes.observed import Observed
from towpath.ci.report import CiReport, Outcome
from towpath.kube.health import Health
from towpath.reconcile.status import Problem, Sync
from towpath.server.doctor import Check
from towpath.server.examination import examine_platform
from towpath.source.remote import RemoteStatus


@dataclass
class Parts:
    """A cluster with one finding of its own, and where the embedded registry is."""

    host: str = "127.0.0.1:7070"
    asked: list[str] = field(default_factory=list)

    async def examine(self, registry: str) -> list[Check]:
        self.asked.append(registry)
        return [Check("cluster", "ok", "well")]

    def serves(self, registry: str) -> bool:
        return registry.startswith(f"{self.host}/")


async def findings(observed: Observed, parts: Any = None) -> dict[str, tuple[str, str, str]]:
    given: Any = parts or Parts()
    checks = await examine_platform(observed.sources, given, given)
    return {check["check"]: (check["state"], check["evidence"], check["next"]) for check in checks}


@pytest.fixture
async def observed(tmp_path: Path) -> Any:
    async with await Observed.open(tmp_path) as platform:
        yield platform


async def test_a_platform_that_is_well_has_no_next_step(observed: Observed) -> None:
    found = await findings(observed)

    assert set(found) == {"cluster", "blueprint", "registry", "build", "environment dev", "environment prod"}
    assert {(state, step) for state, _, step in found.values()} == {("ok", "")}


async def test_the_cluster_is_asked_about_our_registry_only_where_images_are_on_it(observed: Observed) -> None:
    parts = Parts()
    await findings(observed, parts)
    await observed.world.push({"towpath.yaml": "registry: ghcr.io/ada/home\n"})
    await findings(observed, parts)

    assert parts.asked == ["127.0.0.1:7070", ""]


async def test_a_blueprint_that_names_another_port_is_a_problem_with_its_remedy(observed: Observed) -> None:
    state, evidence, step = (await findings(observed, Parts(host="127.0.0.1:9999")))["registry"]

    assert (state, "nothing of ours listens there" in evidence) == ("problem", True)
    assert step.startswith("start with --port 7070")


async def test_an_outside_registry_is_fine(observed: Observed) -> None:
    await observed.world.push({"towpath.yaml": "registry: ghcr.io/ada/home\n"})

    assert (await findings(observed))["registry"] == ("ok", "ghcr.io/ada/home, outside", "")


async def test_a_blueprint_that_names_another_branch_is_a_problem(observed: Observed) -> None:
    await observed.world.push({"towpath.yaml": "branch: develop\n"})

    assert (await findings(observed))["blueprint"][::2] == ("problem", "start with --branch develop")


async def test_a_broken_blueprint_and_a_failed_build_are_problems(observed: Observed) -> None:
    head = await observed.world.head()
    observed.builds.all = [CiReport(head, Outcome.FAILED, START, error="no entrypoint")]
    failed = await findings(observed)
    await observed.world.push({"towpath.yaml": "nmae: x\n"})
    broken = await findings(observed)

    assert failed["build"] == ("problem", "no entrypoint", "towpath explain")
    assert broken["blueprint"][0] == "problem"
    assert "build" not in broken


async def test_an_environment_that_is_not_well_says_why(observed: Observed) -> None:
    observed.change("dev", sync=Sync.OUT_OF_SYNC, problem=Problem("it cannot be rendered", START))
    observed.change("prod", health=Health.PROGRESSING, health_message="sensor-0 is starting")
    found = await findings(observed)

    assert found["environment dev"] == ("warning", "OutOfSync, Healthy: it cannot be rendered", "towpath explain dev")
    assert found["environment prod"][1] == "Synced, Progressing: sensor-0 is starting"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RemoteStatus("URL"), ("warning", "URL has not answered yet", "wait a moment")),
        (RemoteStatus("URL", START), ("ok", "URL, looked at 90s ago; no webhook came since the start", "")),
        (RemoteStatus("URL", START, last_hint_at=START), ("ok", "URL, looked at 90s ago", "")),
        (RemoteStatus("URL", START, failures=1, problem="gone\n  next: look"), ("problem", "gone", "look")),
    ],
)
async def test_following_an_outside_repository_is_examined(
    observed: Observed, status: RemoteStatus, expected: tuple[str, str, str]
) -> None:
    observed.remote = status
    await observed.clock.advance(90)

    assert (await findings(observed))["remote"] == expected
