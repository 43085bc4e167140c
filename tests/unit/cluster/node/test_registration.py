from pathlib import Path
from typing import Any

import pytest

from towpath.aio.clock import format_rfc3339
from towpath.cluster.node.registration import (
    local_node_name,
    local_platform,
    prepare_node,
    prepare_status,
    read_capacity,
    read_node_info,
)
from towpath.cluster.node.sandbox.isolation import Isolation, Mode

NOW = 1_769_851_800.0
FULL = Isolation(mode=Mode.POD_NETWORK, bwrap="/bwrap", overlay=True, limits="cgroup v1")
BARE = Isolation(mode=Mode.PROCESS, missing={"sandbox": "not permitted", "cgroups": "read-only"})


def conditions(isolation: Isolation, previous: Any = None, now: float = NOW) -> dict[str, Any]:
    status = prepare_status(
        isolation,
        addresses={"Hostname": "n"},
        capacity={"cpu": "2"},
        node_info={},
        previous=previous,
        now=now,
    )
    return {condition["type"]: condition for condition in status["conditions"]}


def test_a_node_is_ready_and_says_how_pods_run() -> None:
    found = conditions(FULL)
    assert found["Ready"]["status"] == "True"
    assert "sandbox+podnetwork" in found["Ready"]["message"]
    assert {found[kind]["status"] for kind in ("SandboxMissing", "PodNetworkMissing", "LimitsMissing")} == {"False"}


def test_a_node_without_a_sandbox_is_not_ready_and_says_why() -> None:
    found = conditions(Isolation(mode=Mode.NONE, missing={"sandbox": "not permitted"}))
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "NoSandbox")
    assert found["Ready"]["message"].startswith(
        "pods cannot run here (NoSandbox): not permitted; allow user namespaces"
    )
    assert found["SandboxMissing"]["status"] == "True"
    mended = conditions(FULL, {"status": {"conditions": list(found.values())}}, NOW + 60)
    assert mended["Ready"]["lastTransitionTime"] == format_rfc3339(NOW + 60)


def test_each_wall_that_is_missing_is_a_condition_with_its_reason() -> None:
    found = conditions(BARE)
    assert found["SandboxMissing"]["status"] == "True"
    assert found["SandboxMissing"]["message"] == "not permitted"
    assert found["LimitsMissing"]["message"] == "read-only"
    assert found["PodNetworkMissing"]["status"] == "True"


def test_conditions_that_say_the_same_keep_their_times() -> None:
    before = {"status": {"conditions": list(conditions(FULL).values())}}
    after = conditions(BARE, before, NOW + 60)
    assert after["Ready"]["lastTransitionTime"] == format_rfc3339(NOW)
    assert after["SandboxMissing"]["lastTransitionTime"] == format_rfc3339(NOW + 60)


def test_the_object_carries_the_mode_for_tools() -> None:
    node = prepare_node("node-1", BARE)
    assert node["metadata"]["annotations"] == {
        "towpath.dev/isolation": "process",
        "towpath.dev/limits": "rlimit",
        "towpath.dev/isolation-missing": "sandbox: not permitted; cgroups: read-only",
    }
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "node-1"


def test_the_machine_describes_itself(tmp_path: Path) -> None:
    capacity = read_capacity(tmp_path)
    assert int(capacity["cpu"]) >= 1
    assert capacity["memory"].endswith("Ki")
    assert read_node_info(FULL)["operatingSystem"] == "linux"
    assert local_platform().os == "linux"
    assert local_node_name() == local_node_name().lower()


@pytest.mark.parametrize("character", ["_", " ", "A"])
def test_a_node_name_has_no_character_that_a_node_may_not_have(character: str) -> None:
    assert character not in local_node_name()
