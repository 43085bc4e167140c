"""The whole loop on a cluster that is not the platform's own: the embedded one of another `towpath up`.

Two platforms of the same user: `house` lends its cluster, `lab` runs on it by `--kubeconfig`. All that `lab` does to
it goes over HTTP by `kubeclient`, and house's node pulls from lab's registry with the pods' own secret.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.lab import SERVICES, overlay_of, program, source_of
from fakes.platform import LivePlatform

REFUSED = 3


@dataclass
class Pair:
    """A platform and the one whose cluster it runs on."""

    lab: LivePlatform
    house: LivePlatform
    first: str

    def lent(self, *arguments: str) -> str:
        """kubectl on the cluster."""
        return self.house.kubectl(*arguments).out


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("outside")
    (directory / "a").mkdir()
    (directory / "b").mkdir()
    with LivePlatform(directory / "a", name="house") as house, LivePlatform(directory / "b") as lab:
        house.scaffold()
        house.start()
        lab.write_lab()
        lab.start("--kubeconfig", str(house.state / "kubeconfig"))
        lab.push()
        first = lab.head()
        for service in SERVICES:
            lab.await_healthy("dev", service, first)
        lab.document("promote", *SERVICES, "--to", "prod")
        for service in SERVICES:
            lab.await_healthy("prod", service, first)
        yield Pair(lab, house, first)
        assert lab.stop() == 0
        assert house.stop() == 0


def test_pods_run_there_and_nothing_runs_here(pair: Pair) -> None:
    names = pair.lent("-n", "prod", "get", "pods", "-o", "name").split()

    assert {"pod/clock-0", "pod/clock-1"} < set(names)
    assert not (pair.lab.state / "cluster").exists(), "no embedded cluster was made"
    assert "Kubernetes v1.37" in pair.lab.log.read_text(), "the greeting says what it runs on"


def test_pods_pull_with_their_namespace_s_own_secret(pair: Pair) -> None:
    secret = json.loads(pair.lent("-n", "dev", "get", "secret", "towpath-pull", "-o", "json"))

    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    image = pair.lent("-n", "dev", "get", "pod", "clock-0", "-o", "jsonpath={.spec.containers[0].image}")
    assert image.startswith(f"{pair.lab.prefix}/clock:canary@sha256:")


def test_the_inventory_is_in_a_namespace_of_the_platform(pair: Pair) -> None:
    names = pair.lent("-n", "towpath", "get", "configmaps", "-o", "name").split()

    assert {"configmap/towpath-inventory-dev", "configmap/towpath-inventory-prod"} <= set(names)


def test_logs_events_and_views_read_that_cluster(pair: Pair) -> None:
    lab = pair.lab
    assert lab.towpath("logs", "clock", "-e", "dev").out == "version one green\n"
    assert sorted(lab.towpath("logs", "clock", "-e", "prod").out.splitlines()) == [
        "[clock-0] version one green",
        "[clock-1] version one green",
    ]
    events = lab.document("events")["events"]
    assert {"dev", "prod"} <= {event["environment"] for event in events}
    assert any(event["reason"] == "Pulled" for event in events), "what the node did is told"
    assert lab.document("diff", "dev")["objects"] == []
    places = lab.document("where", pair.first)["services"][0]["environments"]
    assert {place["environment"]: place["state"] for place in places}["dev"] == "running, healthy"
    assert "all is well" in lab.towpath("explain", "dev").out


def test_doctor_says_which_cluster_it_is_and_that_its_nodes_are_here(pair: Pair) -> None:
    checks = {check["check"]: check for check in pair.lab.document("doctor")["checks"]}

    assert checks["cluster"]["state"] == "ok"
    assert "context house" in checks["cluster"]["evidence"]
    assert (checks["registry address"]["state"], checks["registry address"]["next"]) == ("ok", "")
    assert "isolation" not in checks, "how pods are kept apart there is not ours to judge"


def test_kubectl_is_led_to_that_cluster(pair: Pair) -> None:
    said = pair.lab.towpath("kubeconfig", "--path")

    assert said.out.strip() == str(pair.house.state / "kubeconfig")


def test_a_live_edit_there_is_healed_and_named(pair: Pair) -> None:
    pair.house.kubectl("-n", "prod", "scale", "statefulset/clock", "--replicas=1")

    def named() -> bool:
        return "behind Git's back" in str(pair.lab.api("/explain", environment="prod")["findings"])

    pair.lab.await_("the drift", named)
    pair.lab.await_healthy("prod", "clock", pair.first)


def test_a_bad_version_is_refused_and_rolled_back_when_it_was_forced(pair: Pair) -> None:
    lab = pair.lab
    bad = lab.change({source_of("clock"): program("bad", broken="no spring")}, "Save the spring")
    tag = f"sha-{bad[:7]}"
    lab.await_service("dev", "clock", lambda one: (one["tag"], one["health"]) == (tag, "Degraded"), "degraded")
    refused = lab.document("promote", "clock", "--to", "prod", expect=REFUSED)
    assert [one["check"] for one in refused["gates"]["clock"] if one["verdict"] == "failed"] == ["verified before"]

    lab.git("pull", "-q", "--rebase", "towpath", "main")
    text = (lab.root / overlay_of("prod")).read_text()
    lab.change({overlay_of("prod"): text.replace(f"sha-{pair.first[:7]}", tag, 1)}, "Force it into prod")
    lab.await_service("prod", "clock", lambda one: one["health"] == "Degraded", "degraded")
    lab.document("rollback", "prod", "--reason", "no spring")
    lab.await_healthy("prod", "clock", pair.first)
    answer = lab.document("promote", "clock", "--to", "prod", "--tag", tag, expect=REFUSED)
    assert "quarantine" in str(answer), "and it sticks"

    mended = lab.change({source_of("clock"): program("two")}, "Mend the spring")
    lab.await_healthy("dev", "clock", mended)


def test_a_restart_needs_no_option_and_finds_everything_as_it_was(pair: Pair) -> None:
    before = pair.lab.service_status("prod", "clock")["digest"]
    assert pair.lab.stop() == 0
    pair.lab.start()

    pair.lab.await_healthy("prod", "clock", pair.first)
    assert pair.lab.service_status("prod", "clock")["digest"] == before
    assert any("context house" in check["evidence"] for check in pair.lab.document("doctor")["checks"])


def test_a_kubeconfig_that_cannot_be_used_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("clusters: []\n")
    platform = LivePlatform(tmp_path, name="lab")
    platform.scaffold()
    answer = platform.towpath("up", "--kubeconfig", str(tmp_path / "kubeconfig"), expect=2)

    assert "no context to use" in answer.err
    assert "Traceback" not in answer.text
