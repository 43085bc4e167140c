"""Probes on either node: their words, and what they bring about.

When a probe looks first is not compared: the embedded node looks more often while a container starts.
"""

from contract.node.worlds import World, is_ready, status_of
from towpath.kube.objects import Object, find_path

EVERY_SECOND = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 20}


def http(path: str) -> Object:
    return {"httpGet": {"path": path, "port": 8080}, **EVERY_SECOND}


async def test_a_pod_that_answers_with_an_error_runs_and_is_not_ready(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("ill", "ill", container={"readinessProbe": http("/")}))
    text = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    assert await world.wait_for_event("ill", "Unhealthy", "statuscode") == text
    pod = await world.wait_for("ill", lambda pod: bool(status_of(pod).get("started")))
    assert not is_ready(pod)
    assert (status_of(pod)["ready"], pod["status"]["phase"]) == (False, "Running")


async def test_a_port_where_nobody_listens_refuses_the_connection(world: World) -> None:
    await world.create_secret("reader")
    probe = {"tcpSocket": {"port": 9999}, **EVERY_SECOND}
    await world.create(world.pod("closed", "serve", container={"readinessProbe": probe}))
    pod = await world.wait_for("closed", lambda pod: bool(status_of(pod).get("started")))
    text = f"Readiness probe failed: dial tcp {pod['status']['podIP']}:9999: connect: connection refused"
    assert await world.wait_for_event("closed", "Unhealthy") == text


async def test_a_failed_liveness_probe_restarts_the_container(world: World) -> None:
    await world.create_secret("reader")
    up = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 120}
    probes = {"startupProbe": up, "livenessProbe": http("/sick")}
    await world.create(world.pod("sick", "serve", container=probes))
    pod = await world.wait_for("sick", lambda pod: status_of(pod).get("restartCount", 0) >= 1)
    assert find_path(status_of(pod), "lastState", "terminated") is not None
    assert pod["status"]["phase"] == "Running"
    text = "Liveness probe failed: HTTP probe failed with statuscode: 503"
    assert await world.wait_for_event("sick", "Unhealthy", "statuscode") == text
    text = "Container app failed liveness probe, will be restarted"
    assert await world.wait_for_event("sick", "Killing") == text


async def test_a_failed_startup_probe_restarts_the_container_that_never_started(world: World) -> None:
    await world.create_secret("reader")
    probe = {"tcpSocket": {"port": 9999}, **EVERY_SECOND, "failureThreshold": 2}
    await world.create(world.pod("slow", "serve", container={"startupProbe": probe}))
    pod = await world.wait_for("slow", lambda pod: status_of(pod).get("restartCount", 0) >= 1)
    assert (status_of(pod)["started"], status_of(pod)["ready"]) == (False, False)
    text = "Container app failed startup probe, will be restarted"
    assert await world.wait_for_event("slow", "Killing") == text
    await world.wait_for_event("slow", "Unhealthy", "Startup probe failed: dial tcp ")


async def test_a_command_says_why_it_failed(world: World) -> None:
    await world.create_secret("reader")
    command = ["python3", "-c", "raise SystemExit('no database')"]
    await world.create(
        world.pod("asking", "serve", container={"readinessProbe": {"exec": {"command": command}, **EVERY_SECOND}})
    )
    assert await world.wait_for_event("asking", "Unhealthy") == "Readiness probe failed: no database\n"


async def test_a_command_that_takes_too_long_is_given_up(world: World) -> None:
    await world.create_secret("reader")
    command = ["python3", "-c", "import time; time.sleep(60)"]
    probe = {"exec": {"command": command}, **EVERY_SECOND, "timeoutSeconds": 1}
    await world.create(world.pod("waiting", "serve", container={"readinessProbe": probe}))
    text = f'Readiness probe failed: command timed out: "{" ".join(command)}" timed out after 1s'
    assert await world.wait_for_event("waiting", "Unhealthy") == text
