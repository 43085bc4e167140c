"""The services of the scaffold as processes: the sensor, and the chaos controller troubling a fleet."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser as text_format
from prometheus_client.openmetrics import parser as openmetrics

from fakes.pods_api import PodsApi
from fakes.service_process import Service, free_port, wait_until
from towpath.blueprint.scaffold import write_scaffold


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("platform")
    write_scaffold(directory, name="lab", registry="127.0.0.1:7070/lab")
    return directory / "services"


Start = Callable[..., Service]


@pytest.fixture
def start(services: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def run(name: str, *, address: str = "127.0.0.1", port: int = 0, **environment: str) -> Service:
            service = Service(services / name, environment, address=address, port=port or free_port(address))
            stack.callback(service.close)
            return service

        yield run


@pytest.fixture
def sensor(start: Start) -> Service:
    service = start("sensor", SENSOR_NAME="sensor-0", TOWPATH_VERSION="sha-1234567", TOWPATH_COMMIT="1234567" * 5)
    assert "listens" in service.next_line()
    return service


# --- the sensor


def test_readings_are_json_and_follow_the_seed(sensor: Service, start: Start) -> None:
    twin = start("sensor", SENSOR_NAME="sensor-0")
    other = start("sensor", SENSOR_NAME="sensor-1")
    for service in (twin, other):
        assert "listens" in service.next_line()

    def agree() -> bool:
        answers = [service.json("GET", "/readings") for service in (sensor, twin, other)]
        assert {answer["signal"] for answer in answers} == {True}
        assert 0 < answers[0]["reading"]["temperature_celsius"] < 40
        assert 0 <= answers[0]["reading"]["relative_humidity_ratio"] <= 1
        same_moment = len({answer["sequence"] for answer in answers}) == 1
        if same_moment:
            assert answers[0]["reading"] != answers[2]["reading"]
        # The day's curve moves on within a second, so the twins agree to a hundredth, not always to the bit.
        difference = answers[0]["reading"]["temperature_celsius"] - answers[1]["reading"]["temperature_celsius"]
        return same_moment and abs(difference) < 0.02

    wait_until(agree)


def test_it_says_which_build_answers(sensor: Service) -> None:
    assert sensor.json("GET", "/version") == {"version": "sha-1234567", "commit": "1234567" * 5}


def test_metrics_are_openmetrics_to_the_letter(sensor: Service) -> None:
    sensor.ask("GET", "/readings")
    status, kind, text = sensor.ask(
        "GET", "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert text.endswith("\n# EOF\n")
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    assert families["sensor_requests"].type == "counter"
    assert families["sensor_build_info"].samples[0].labels["version"] == "sha-1234567"
    assert families["sensor_temperature_celsius"].samples[0].value > 0


def test_metrics_are_the_older_text_format_for_who_asks_for_it(sensor: Service) -> None:
    sensor.ask("GET", "/readings")
    _, kind, text = sensor.ask("GET", "/metrics", Accept="text/plain")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert "# EOF" not in text
    assert "# TYPE sensor_requests_total counter" in text
    assert {family.name for family in text_format.text_string_to_metric_families(text)} >= {"sensor_requests"}


def test_a_spike_lifts_the_readings_and_can_be_cleared(sensor: Service) -> None:
    normal = sensor.json("GET", "/readings")["reading"]["temperature_celsius"]
    status, _, text = sensor.ask("POST", "/faults", {"kind": "spike", "intensity": 1, "duration_seconds": 60})
    assert (status, json.loads(text)) == (201, {"kind": "spike", "intensity": 1.0, "duration_seconds": 60.0})
    assert sensor.json("GET", "/readings")["reading"]["temperature_celsius"] > normal + 30
    assert sensor.json("GET", "/faults")["faults"][0]["remaining_seconds"] <= 60
    assert sensor.json("DELETE", "/faults/spike") == {"cleared": ["spike"]}
    assert sensor.json("GET", "/readings")["reading"]["temperature_celsius"] < normal + 5
    assert sensor.json("DELETE", "/faults") == {"cleared": []}


def test_a_lost_signal_leaves_readings_out_and_says_so(sensor: Service) -> None:
    sensor.ask("POST", "/faults", {"kind": "signal-loss", "intensity": 1, "duration_seconds": 60})
    answer = sensor.json("GET", "/readings")
    assert (answer["signal"], answer["reading"]) == (False, None)
    text = sensor.ask("GET", "/metrics")[2]
    assert "sensor_signal_up 0" in text
    assert "sensor_temperature_celsius" not in text


def test_a_strong_brownout_takes_it_out_of_service_and_a_weak_one_does_not(sensor: Service) -> None:
    sensor.ask("POST", "/faults", {"kind": "brownout", "intensity": 0.4, "duration_seconds": 60})
    assert sensor.ask("GET", "/readyz")[0] == 200
    sensor.ask("POST", "/faults", {"kind": "brownout", "intensity": 1, "duration_seconds": 60})
    assert sensor.ask("GET", "/readyz")[0] == 503
    assert sensor.ask("GET", "/healthz")[0] == 200
    with ThreadPoolExecutor(16) as pool:  # at once, because each answer is late
        statuses = list(pool.map(lambda _: sensor.ask("GET", "/readings")[0], range(16)))
    assert set(statuses) == {200, 503}


def test_faults_end_by_themselves(sensor: Service) -> None:
    sensor.ask("POST", "/faults", {"kind": "spike", "intensity": 1, "duration_seconds": 0.2})
    wait_until(lambda: sensor.json("GET", "/faults") == {"faults": []})


def test_a_memory_leak_grows_to_its_bound_and_is_given_back(sensor: Service) -> None:
    sensor.ask("POST", "/faults", {"kind": "memory-leak", "intensity": 0.5, "duration_seconds": 3})
    seen = []

    def leaked() -> int:
        line = next(x for x in sensor.ask("GET", "/metrics")[2].splitlines() if x.startswith("sensor_leaked_bytes"))
        seen.append(int(float(line.split()[1])))
        return seen[-1]

    wait_until(lambda: leaked() > 8_000_000)
    wait_until(lambda: leaked() == 0)
    assert max(seen) <= 32 * 1024 * 1024
    assert seen[: seen.index(max(seen))] == sorted(seen[: seen.index(max(seen))])


def test_a_crash_ends_the_process_after_the_answer(sensor: Service) -> None:
    status, _, _ = sensor.ask("POST", "/faults", {"kind": "crash", "intensity": 1, "duration_seconds": 1})
    assert status == 201
    assert sensor.process.wait(timeout=60) == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"nonsense", "Expecting value"),
        ([], "expected an object"),
        ({"kind": "meltdown"}, "kind is 'meltdown', expected one of spike"),
        ({"kind": "spike", "intensity": 0}, "intensity is 0, expected a number above 0, at most 1"),
        ({"kind": "spike", "intensity": True}, "intensity is True"),
        ({"kind": "spike", "duration_seconds": 4000}, "duration_seconds is 4000"),
        ({"kind": "spike", "strength": 1}, "unknown field strength"),
        (b"[" * 4000, "recursion"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(sensor: Service, body: Any, problem: str) -> None:
    status, _, text = sensor.ask("POST", "/faults", body)
    assert status == 400
    assert problem in json.loads(text)["error"]
    assert sensor.json("GET", "/faults") == {"faults": []}


def test_a_huge_body_is_refused_and_unknown_paths_are_named(sensor: Service) -> None:
    with contextlib.suppress(urllib.error.URLError):  # it may hang up while we are still sending
        assert sensor.ask("POST", "/faults", b"x" * 1_000_000)[0] == 413
    assert sensor.ask("GET", "/nothing")[0] == 404
    assert sensor.ask("DELETE", "/faults/meltdown")[0] == 404
    assert sensor.ask("GET", "/healthz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_when_told_to_even_while_a_client_waits(sensor: Service, number: signal.Signals) -> None:
    with socket.create_connection(("127.0.0.1", int(sensor.url.rpartition(":")[2]))):
        told = time.monotonic()
        sensor.process.send_signal(number)
        assert sensor.process.wait(timeout=60) == 0
        assert time.monotonic() - told < 1


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [({"PORT": "x"}, 2, "PORT is 'x'"), ({"BIND_ADDRESS": "192.0.2.1"}, 1, "cannot listen")],
)
def test_a_setting_that_makes_no_sense_ends_it_with_the_reason(
    start: Start, environment: dict[str, str], code: int, said: str
) -> None:
    service = start("sensor", **environment)
    assert said in service.next_line()
    assert service.process.wait(timeout=60) == code


def test_it_starts_without_loading_anything_slow(services: Path) -> None:
    program = "import sys, server, simulation; print([m for m in sys.argv[1:] if m in sys.modules])"
    slow = ["asyncio", "logging", "urllib.request", "argparse", "unittest", "xml", "ctypes", "concurrent.futures"]
    argv = [sys.executable, "-B", "-c", program, *slow]
    result = subprocess.run(argv, cwd=services / "sensor", capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# --- the chaos controller


@pytest.fixture
def account(tmp_path: Path) -> Path:
    directory = tmp_path / "account"
    directory.mkdir()
    return directory


@pytest.fixture
def cluster(account: Path) -> Iterator[PodsApi]:
    made = PodsApi(account)
    yield made
    made.close()


SCHEDULE = """
seed = 7
pause_seconds = [0.1, 0.2]
dry_run = {dry_run}
[limits]
concurrent_faults = {cap}
intensity = 0.3
duration_seconds = 40
[allow]
namespaces = ["@own"]
labels = {{ "app.kubernetes.io/name" = "sensor" }}
kinds = {kinds}
[[faults]]
kind = "spike"
weight = 1
intensity = [0.5, 1]
duration_seconds = [30, 60]
[[faults]]
kind = "signal-loss"
weight = 1
intensity = [0.5, 1]
duration_seconds = [30, 60]
"""


def schedule(
    *, dry_run: bool = False, cap: int = 2, duration: float = 40, kinds: str = '["spike", "signal-loss"]'
) -> str:
    return SCHEDULE.format(dry_run=str(dry_run).lower(), cap=cap, duration=duration, kinds=kinds)


class Chaos:
    """Starts sensors at addresses of their own on one port, and a controller over them."""

    def __init__(self, start: Start, cluster: PodsApi, account: Path, schedule_file: Path) -> None:
        self._start = start
        self._cluster = cluster
        self._account = account
        self.schedule_file = schedule_file
        self.port = free_port("127.0.0.2")
        self.sensors: list[Service] = []

    def add_sensor(self) -> Service:
        number = len(self.sensors)
        address = f"127.0.0.{number + 2}"
        sensor = self._start("sensor", address=address, port=self.port, SENSOR_NAME=f"sensor-{number}")
        assert "listens" in sensor.next_line()
        self._cluster.add_pod(f"sensor-{number}", address)
        self.sensors.append(sensor)
        return sensor

    def run(self, text: str) -> Service:
        self.schedule_file.write_text(text)
        return self._start(
            "chaos-controller",
            KUBERNETES_SERVICE_HOST="127.0.0.1",
            KUBERNETES_SERVICE_PORT=str(self._cluster.port),
            SERVICE_ACCOUNT_DIRECTORY=str(self._account),
            SCHEDULE_FILE=str(self.schedule_file),
            SENSOR_PORT=str(self.port),
            http_proxy="http://192.0.2.1:1",  # whatever the environment says, the cluster is asked directly
        )


@pytest.fixture
def chaos(start: Start, cluster: PodsApi, account: Path, tmp_path: Path) -> Chaos:
    return Chaos(start, cluster, account, tmp_path / "schedule.toml")


def test_it_finds_the_fleet_and_troubles_it_within_its_limits(chaos: Chaos, cluster: PodsApi) -> None:
    first, second = chaos.add_sensor(), chaos.add_sensor()
    controller = chaos.run(schedule(cap=2))
    events = [controller.next_event("fault") for _ in range(3)]
    assert [event["outcome"] for event in events] == ["started", "started", "skipped"]
    assert {event["target"] for event in events[:2]} == {"dev/sensor-0", "dev/sensor-1"}
    assert events[2]["reason"] == "2 active faults, the cap"
    assert all(event["intensity"] == 0.3 and event["duration_seconds"] <= 40 for event in events)
    for sensor in (first, second):
        faults = sensor.json("GET", "/faults")["faults"]
        assert [fault["intensity"] for fault in faults] == [0.3]
    assert cluster.asked[0] == "/api/v1/namespaces/dev/pods?labelSelector=app.kubernetes.io%2Fname%3Dsensor"


def test_the_same_seed_draws_the_same_faults(chaos: Chaos) -> None:
    chaos.add_sensor()

    def draws() -> list[tuple[Any, ...]]:
        controller = chaos.run(schedule(dry_run=True))
        events = [controller.next_event("fault") for _ in range(4)]
        controller.close()
        return [(event["kind"], event["duration_seconds"], event["target"]) for event in events]

    assert draws() == draws()


def test_a_dry_run_only_talks(chaos: Chaos) -> None:
    sensor = chaos.add_sensor()
    controller = chaos.run(schedule(dry_run=True))
    assert [controller.next_event("fault")["outcome"] for _ in range(3)] == ["dry-run"] * 3
    assert sensor.json("GET", "/faults") == {"faults": []}
    assert "chaos_dry_run 1" in controller.ask("GET", "/metrics")[2]


def test_kinds_that_are_not_allowed_are_never_drawn(chaos: Chaos) -> None:
    chaos.add_sensor()
    controller = chaos.run(schedule(dry_run=True, kinds='["signal-loss"]'))
    assert {controller.next_event("fault")["kind"] for _ in range(5)} == {"signal-loss"}


def test_pods_that_do_not_run_are_left_alone(chaos: Chaos, cluster: PodsApi) -> None:
    cluster.add_pod("sensor-8", "127.0.0.9", phase="Pending")
    cluster.pods.append(
        {"metadata": {"name": "x", "deletionTimestamp": "t"}, "status": {"phase": "Running", "podIP": "1"}}
    )
    controller = chaos.run(schedule())
    assert controller.next_event("fault")["reason"] == "no running target"


def test_a_sensor_that_does_not_answer_counts_as_troubled(chaos: Chaos, cluster: PodsApi) -> None:
    cluster.add_pod("sensor-9", "127.0.0.9")
    controller = chaos.run(schedule(cap=1))
    event = controller.next_event("fault")
    assert (event["outcome"], event["reason"]) == ("skipped", "1 active faults, the cap")


def test_an_api_that_refuses_is_reported_and_readiness_tells(chaos: Chaos, cluster: PodsApi) -> None:
    cluster.broken = True
    controller = chaos.run(schedule())
    event = controller.next_event("fault")
    assert event["outcome"] == "failed"
    assert "answered 403" in event["reason"]
    assert controller.ask("GET", "/readyz")[0] == 503
    assert controller.ask("GET", "/healthz")[0] == 200


def test_a_changed_schedule_comes_into_force_and_a_broken_one_does_not(chaos: Chaos) -> None:
    chaos.add_sensor()
    controller = chaos.run(schedule(dry_run=True))
    assert controller.next_event("schedule loaded")["seed"] == 7
    chaos.schedule_file.write_text("seed = [")
    refused = controller.next_event("schedule refused")
    assert refused["in_force"] is True
    assert "not TOML" in refused["error"]
    assert controller.ask("GET", "/readyz")[0] == 503
    assert controller.next_event("fault")["outcome"] == "dry-run"
    chaos.schedule_file.write_text(schedule(dry_run=True).replace("seed = 7", "seed = 8"))
    assert controller.next_event("schedule loaded")["seed"] == 8
    assert controller.ask("GET", "/readyz")[0] == 200


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed = 7", "", "seed is None, expected a number from 0"),
        ("pause_seconds = [0.1, 0.2]", "pause_seconds = [2, 1]", "pause_seconds is [2, 1], expected [from, to]"),
        ("[limits]", "[limit]", "limits is missing, expected a table"),
        ("intensity = 0.3", "intensity = 1.5", "limits.intensity is 1.5, expected a number from 0.01 to 1"),
        ('{ "app.kubernetes.io/name" = "sensor" }', "{}", "without any, every pod is a target"),
        ('["@own"]', "[]", "allow.namespaces is [], expected a list of texts"),
        ('["spike", "signal-loss"]', '["meltdown"]', "allow.kinds has 'meltdown'"),
        ('["spike", "signal-loss"]', '["crash"]', "faults has none of a kind that allow.kinds allows"),
        ('kind = "spike"', 'kind = "melt"', "faults[0].kind is 'melt'"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_with_the_key(chaos: Chaos, old: str, new: str, problem: str) -> None:
    text = schedule()
    assert old in text
    controller = chaos.run(text.replace(old, new, 1))
    assert problem in controller.next_event("schedule refused")["error"]


def test_its_metrics_are_openmetrics_to_the_letter(chaos: Chaos) -> None:
    chaos.add_sensor()
    controller = chaos.run(schedule(cap=1))
    controller.next_event("fault")
    controller.next_event("fault")
    _, kind, text = controller.ask("GET", "/metrics")
    assert kind.startswith("application/openmetrics-text")
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    outcomes = {sample.labels["outcome"]: sample.value for sample in families["chaos_faults"].samples}
    assert outcomes["started"] == 1
    assert families["chaos_targets"].samples[0].value == 1
    assert families["chaos_active_faults"].samples[0].value == 1


def test_it_stops_at_once_when_told_to(chaos: Chaos) -> None:
    controller = chaos.run(schedule())
    controller.next_event("controller started")
    controller.process.send_signal(signal.SIGTERM)
    assert controller.process.wait(timeout=60) == 0


def test_outside_of_a_pod_it_says_that_it_belongs_in_one(start: Start, tmp_path: Path) -> None:
    controller = start("chaos-controller", SERVICE_ACCOUNT_DIRECTORY=str(tmp_path))
    assert "it runs in a pod only" in controller.next_line()
    assert controller.process.wait(timeout=60) == 2


def test_the_scaffolds_own_schedule_is_valid_and_leaves_sensors_ready(chaos: Chaos, services: Path) -> None:
    text = (services.parent / "k3s/base/chaos-schedule.toml").read_text()
    controller = chaos.run(text)
    assert controller.next_event("schedule loaded")["dry_run"] is False
    assert "intensity = 0.4 " in text


# --- judged by Prometheus' own tool


@pytest.mark.judge
def test_promtool_finds_nothing_wrong_with_either_services_metrics(sensor: Service, chaos: Chaos) -> None:
    chaos.add_sensor()
    controller = chaos.run(schedule(cap=1))
    controller.next_event("fault")
    sensor.ask("GET", "/readings")
    for service in (sensor, controller):
        text = service.ask("GET", "/metrics", Accept="text/plain")[2]
        check = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
        assert (check.returncode, check.stdout + check.stderr) == (0, b"")
