"""Pods that run, end, fail and are probed: what their status, log and events say on either node."""

import pytest

from contract.node.worlds import (
    POD,
    World,
    condition,
    has_ended,
    is_ready,
    status_of,
    terminated,
    waiting,
    waits_for,
)
from towpath.kube.objects import find_path

UNREADY = "containers with unready status: [app]"


async def test_a_pod_that_serves_is_ready_in_every_condition(world: World) -> None:
    await world.create_secret("reader")
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    await world.create(world.pod("web", "serve", container={"readinessProbe": probe}))
    status = (await world.wait_for("web", is_ready))["status"]
    assert [(one["type"], one["status"]) for one in status["conditions"]] == [
        ("PodReadyToStartContainers", "True"),
        ("Initialized", "True"),
        ("Ready", "True"),
        ("ContainersReady", "True"),
        ("PodScheduled", "True"),
    ]
    assert (status["phase"], status["qosClass"]) == ("Running", "BestEffort")
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]
    [app] = status["containerStatuses"]
    assert (app["ready"], app["started"], app["restartCount"], app["lastState"]) == (True, True, 0, {})
    assert list(app["state"]) == ["running"]
    assert app["image"] == world.lab.image()
    assert app["imageID"].startswith(f"{world.lab.host}/lab/app@sha256:")
    reasons = [reason for _, reason, _ in await world.events("web") if reason != "Unhealthy"]
    assert set(reasons) <= {"Pulling", "Pulled", "Created", "Started"}
    assert await world.wait_for_event("web", "Created") == "Container created"
    assert await world.wait_for_event("web", "Started") == "Container started"


async def test_the_environment_comes_from_a_config_map(world: World) -> None:
    await world.create_secret("reader")
    await world.create_config_map("greetings", {"GREETING": "good morning"})
    source = {"envFrom": [{"configMapRef": {"name": "greetings"}}]}
    await world.create(world.pod("polite", "serve", container=source))
    await world.wait_for("polite", is_ready)
    await world.wait_for_log("polite", "serve good morning\n")


async def test_what_the_environment_refers_to_is_awaited_by_name(world: World) -> None:
    await world.create_secret("reader")
    source = {"envFrom": [{"configMapRef": {"name": "greetings"}}]}
    await world.create(world.pod("early", "serve", container=source))
    seen = await world.wait_for("early", waits_for("CreateContainerConfigError"))
    assert waiting(seen)["message"] == 'configmap "greetings" not found'
    await world.wait_for_event("early", "Failed", 'Error: configmap "greetings" not found')
    await world.create_config_map("greetings", {"GREETING": "hello"})
    await world.wait_for("early", is_ready)


async def test_a_volume_of_what_is_not_there_is_told_in_an_event(world: World) -> None:
    volume = {"name": "settings", "configMap": {"name": "absent"}}
    mount = {"volumeMounts": [{"name": "settings", "mountPath": "/settings"}]}
    await world.create(world.pod("mounting", "serve", container=mount, volumes=[volume]))
    text = 'MountVolume.SetUp failed for volume "settings" : configmap "absent" not found'
    assert await world.wait_for_event("mounting", "FailedMount") == text
    seen = await world.wait_for("mounting", waits_for("ContainerCreating"))
    sandbox = condition(seen, "PodReadyToStartContainers")
    assert (sandbox["status"], sandbox["reason"]) == ("False", "PodSandboxNotReady")


async def test_a_crash_is_restarted_at_once_and_then_backs_off(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("crash", "exit", "3", "the disk is full"))
    pod = await world.wait_for("crash", waits_for("CrashLoopBackOff"))
    who = f"container=app pod=crash_{world.namespace}({pod['metadata']['uid']})"
    assert waiting(pod)["message"] == f"back-off 10s restarting failed {who}"
    last = status_of(pod)["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "the disk is full")
    assert (status_of(pod)["restartCount"], status_of(pod)["started"]) == (1, False)
    assert pod["status"]["phase"] == "Running"
    assert condition(pod, "Ready")["message"] == condition(pod, "ContainersReady")["message"] == UNREADY
    text = f"Back-off restarting failed container app in pod crash_{world.namespace}({pod['metadata']['uid']})"
    assert await world.wait_for_event("crash", "BackOff") == text
    assert await world.log("crash", previous=True) == "exit 3 the disk is full \n"


@pytest.mark.parametrize(
    ("code", "phase", "reason"), [("0", "Succeeded", "PodCompleted"), ("7", "Failed", "PodFailed")]
)
async def test_a_pod_that_never_restarts_ends_by_its_exit_code(
    world: World, code: str, phase: str, reason: str
) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("once", "exit", code, restartPolicy="Never"))
    pod = await world.wait_for("once", has_ended)
    assert pod["status"]["phase"] == phase
    assert terminated(pod)["exitCode"] == int(code)
    assert terminated(pod)["reason"] == ("Completed" if code == "0" else "Error")
    assert condition(pod, "Ready")["reason"] == condition(pod, "ContainersReady")["reason"] == reason
    assert condition(pod, "Initialized").get("reason") == ("PodCompleted" if code == "0" else None)
    # A kubelet takes the sandbox down a moment after the containers have ended.
    pod = await world.wait_for("once", lambda pod: condition(pod, "PodReadyToStartContainers")["status"] == "False")
    assert condition(pod, "PodReadyToStartContainers")["message"] == "pod sandbox is not ready"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("serv", 'exec: "serv": executable file not found in $PATH'),
        ("/opt/serv", 'exec: "/opt/serv": stat /opt/serv: no such file or directory'),
        ("/etc", 'exec: "/etc": permission denied'),
    ],
)
async def test_a_command_that_cannot_be_run_is_a_start_error(world: World, command: str, text: str) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("typo", restartPolicy="Never", container={"command": [command]}))
    pod = await world.wait_for("typo", has_ended)
    assert (terminated(pod)["exitCode"], terminated(pod)["reason"]) == (128, "StartError")
    assert terminated(pod)["startedAt"] == "1970-01-01T00:00:00Z"
    head = "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    message = f"{head}runc create failed: unable to start container process: {text}: unknown"
    assert terminated(pod)["message"] == message
    assert await world.wait_for_event("typo", "Created") == "Container created"
    assert await world.wait_for_event("typo", "Failed") == f"Error: {message}"


async def test_root_is_refused_where_the_pod_forbids_it(world: World) -> None:
    await world.create_secret("reader")
    security = {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}
    await world.create(world.pod("root", "serve", container=security))
    pod = await world.wait_for("root", waits_for("CreateContainerConfigError"))
    who = f'pod: "root_{world.namespace}({pod["metadata"]["uid"]})", container: app'
    assert waiting(pod)["message"] == f"container's runAsUser breaks non-root policy ({who})"


async def test_a_container_over_its_memory_limit_is_oom_killed(world: World) -> None:
    await world.create_secret("reader")
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    await world.create(world.pod("hog", "hog", restartPolicy="Never", container=limits))
    pod = await world.wait_for("hog", has_ended)
    assert (terminated(pod)["reason"], terminated(pod)["exitCode"]) == ("OOMKilled", 137)
    assert pod["status"]["qosClass"] == "Burstable"


async def test_init_containers_run_first_and_the_others_wait_for_them(world: World) -> None:
    await world.create_secret("reader")
    first = {"name": "first", "image": world.lab.image(), "args": ["exit", "0"]}
    await world.create(world.pod("staged", "serve", initContainers=[first]))
    seen: list[str] = []

    def reached(pod: dict[str, object]) -> bool:
        seen.append(waiting(pod).get("reason", ""))
        return is_ready(pod)

    pod = await world.wait_for("staged", reached)
    assert set(seen) <= {"", "PodInitializing"}
    [done] = pod["status"]["initContainerStatuses"]
    assert (done["ready"], done["started"], done["state"]["terminated"]["reason"]) == (True, False, "Completed")


async def test_a_failed_init_container_fails_a_pod_that_never_restarts(world: World) -> None:
    await world.create_secret("reader")
    first = {"name": "first", "image": world.lab.image(), "args": ["exit", "5"]}
    await world.create(world.pod("unlucky", "serve", restartPolicy="Never", initContainers=[first]))
    pod = await world.wait_for("unlucky", has_ended)
    assert pod["status"]["phase"] == "Failed"
    assert waiting(pod)["reason"] == "PodInitializing"
    found = condition(pod, "Initialized")
    assert (found["reason"], found["message"]) == (
        "ContainersNotInitialized",
        "containers with incomplete status: [first]",
    )


async def test_a_deleted_pod_ends_in_its_grace_period_and_says_how(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("leaving", "serve"))
    await world.wait_for("leaving", is_ready)
    await world.wait_for_log("leaving", "serve \n")
    last = await world.delete_pod("leaving")
    assert last["status"]["phase"] in {"Succeeded", "Failed"}, "0 if it heard the signal in time, else 137"
    assert terminated(last)["exitCode"] in {0, 137}
    assert await world.wait_for_event("leaving", "Killing") == "Stopping container app"


async def test_a_pod_that_ignores_the_signal_is_killed(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("stubborn", "stubborn"))
    await world.wait_for("stubborn", is_ready)
    await world.wait_for_log("stubborn", "stubborn \nup\n")
    last = await world.delete_pod("stubborn")
    assert (last["status"]["phase"], terminated(last)["exitCode"], terminated(last)["reason"]) == (
        "Failed",
        137,
        "Error",
    )


@pytest.mark.differs(
    "Lifecycle hooks are not run (a warning says so).",
    raises=pytest.RaisesExc(AssertionError, match="it runs, without its hook"),
)
async def test_a_failed_hook_after_the_start_kills_the_container(world: World) -> None:
    await world.create_secret("reader")
    hook = {"lifecycle": {"postStart": {"exec": {"command": ["absent"]}}}}
    await world.create(world.pod("hooked", "serve", container=hook))
    pod = await world.wait_for("hooked", lambda pod: bool(waits_for("PostStartHookError")(pod)) or is_ready(pod))
    assert not is_ready(pod), "it runs, without its hook"
    assert waiting(pod)["reason"] == "PostStartHookError"


@pytest.mark.differs(
    "Why a volume cannot be mounted is also said where the container waits, not in an event alone.",
    raises=pytest.RaisesExc(AssertionError, match='the container says: .*"absent" not found'),
)
async def test_a_container_whose_volume_cannot_be_mounted_does_not_say_so(world: World) -> None:
    volume = {"name": "settings", "configMap": {"name": "absent"}}
    mount = {"volumeMounts": [{"name": "settings", "mountPath": "/settings"}]}
    await world.create(world.pod("silent", "serve", container=mount, volumes=[volume]))
    await world.wait_for_event("silent", "FailedMount")
    await world.wait_for("silent", waits_for("ContainerCreating"))
    said = waiting(await world.client.get(POD, "silent", world.namespace))
    assert "message" not in said, f"the container says: {said['message']}"


@pytest.mark.differs(
    "The status does not repeat mounts and resources, nor the generation it was written for.",
    raises=pytest.RaisesExc(AssertionError, match="neither mounts nor resources"),
)
async def test_a_status_repeats_mounts_resources_and_generation(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("told", "serve"))
    pod = await world.wait_for("told", is_ready)
    assert status_of(pod).keys() & {"volumeMounts", "resources"}, "neither mounts nor resources"
    assert {"volumeMounts", "resources"} <= set(status_of(pod))
    assert find_path(pod, "status", "observedGeneration") == 1
