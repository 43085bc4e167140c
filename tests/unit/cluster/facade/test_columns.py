"""The rows of `kubectl get`."""

from typing import Any

import pytest

from fakes.clock import START
from towpath.aio.clock import format_rfc3339
from towpath.cluster.facade.columns import columns_of, format_age, pod_status
from towpath.kube.resources import RESOURCES

NOW = START


def ago(seconds: float) -> str:
    return format_rfc3339(NOW - seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (600, "10m"), (10_799, "179m"), (10_800, "3h"),
        (12_000, "3h20m"), (8 * 3600, "8h"), (48 * 3600, "2d"), (3 * 86_400 + 3600, "3d1h"), (10 * 86_400, "10d"),
        (800 * 86_400, "2y70d"),
    ],
)  # fmt: skip
def test_ages_are_written_as_kubectl_writes_them(seconds: float, text: str) -> None:
    assert format_age(ago(seconds), NOW) == text


def test_a_missing_time_has_no_age() -> None:
    assert format_age(None, NOW) == "<unknown>"


def pod(*states: dict[str, Any], phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    statuses = [{"name": f"c{n}", "restartCount": 0, **state} for n, state in enumerate(states)]
    return {
        "metadata": {"name": "a", **metadata},
        "spec": {"containers": [{"name": f"c{n}"} for n in range(len(states))]},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


RUNNING = {"ready": True, "state": {"running": {}}}


@pytest.mark.parametrize(
    ("shown", "word"),
    [
        pytest.param(pod(RUNNING), "Running", id="running"),
        pytest.param(pod(phase="Pending"), "Pending", id="pending"),
        pytest.param(pod({"state": {"waiting": {"reason": "ErrImagePull"}}}), "ErrImagePull", id="waiting"),
        pytest.param(pod({"state": {"terminated": {"exitCode": 3}}}), "ExitCode:3", id="exit-code"),
        pytest.param(pod({"state": {"terminated": {"reason": "OOMKilled"}}}), "OOMKilled", id="reason"),
        pytest.param(pod({"state": {"terminated": {"reason": "Completed"}}}, RUNNING), "Running", id="one-completed"),
        pytest.param(pod(RUNNING, deletionTimestamp=ago(1)), "Terminating", id="going"),
    ],
)
def test_the_status_of_a_pod_is_the_word_that_says_most(shown: dict[str, Any], word: str) -> None:
    assert pod_status(shown, NOW) == word


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"waiting": {"reason": "PodInitializing"}}, "Init:0/1"),
        ({"waiting": {"reason": "ErrImagePull"}}, "Init:ErrImagePull"),
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, "Init:Error"),
        ({"running": {}}, "Init:0/1"),
    ],
)
def test_a_pod_that_initializes_says_how_far_it_is(state: dict[str, Any], word: str) -> None:
    initializing = pod(phase="Pending")
    initializing["spec"]["initContainers"] = [{"name": "init"}]
    initializing["status"]["initContainerStatuses"] = [{"name": "init", "state": state}]

    assert pod_status(initializing, NOW) == word


def test_restarts_say_when_the_last_one_was() -> None:
    restarted = pod({**RUNNING, "restartCount": 2, "lastState": {"terminated": {"finishedAt": ago(30)}}})
    column = next(one for one in columns_of("Pod") if one.name == "Restarts")

    assert column.cell(restarted, NOW) == "2 (30s ago)"


@pytest.mark.parametrize("kind", [resource.gvk.kind for resource in RESOURCES])
def test_every_served_kind_has_a_row_even_for_an_empty_object(kind: str) -> None:
    obj = {"kind": kind, "metadata": {"name": "a", "creationTimestamp": ago(60)}}

    cells = [column.cell(obj, NOW) for column in columns_of(kind)]

    assert "a" in cells
    assert all(isinstance(cell, str | int) for cell in cells)
