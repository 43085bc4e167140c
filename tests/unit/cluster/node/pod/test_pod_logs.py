from pathlib import Path
from typing import Any

import pytest

from towpath.cluster.node.pod.logs import LogFile
from towpath.cluster.node.pod.pod_logs import LogSource, make_query, read_pod_log
from towpath.kube.errors import ApiError, ApiNotFoundError, BadRequestError
from towpath.kube.objects import Object
from towpath.kube.requests import LogOptions


def pod(*names: str, restarts: int = 0, **state: Any) -> Object:
    statuses = [{"name": name, "restartCount": restarts, "state": state} for name in names]
    containers = [{"name": name} for name in names]
    return {"metadata": {"name": "web"}, "spec": {"containers": containers}, "status": {"containerStatuses": statuses}}


async def read(obj: Object | None, directory: Path, container: str = "", **options: Any) -> bytes:
    query = make_query(LogOptions(**options), now=0)  # type: ignore[typeddict-item]
    source = LogSource(directory, lambda _: None)
    return b"".join([piece async for piece in read_pod_log(obj, ("dev", "web"), container, query, source)])


def write(directory: Path, container: str, run: int, text: bytes) -> None:
    log = LogFile(directory / container / f"{run}.log")
    log.feed(text)
    log.close()


async def test_the_present_run_and_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, "app", 1, b"then\n")
    write(tmp_path, "app", 2, b"now\n")
    assert await read(pod("app", restarts=2), tmp_path) == b"now\n"
    assert await read(pod("app", restarts=2), tmp_path, previous=True) == b"then\n"


async def test_between_two_runs_the_last_one_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "app", 1, b"then\n")
    assert await read(pod("app", restarts=2), tmp_path) == b"then\n"


@pytest.mark.parametrize(
    ("obj", "container", "options", "error", "text"),
    [
        (None, "", {}, ApiNotFoundError, 'pods "web" not found'),
        (pod("app"), "db", {}, BadRequestError, "container db is not valid for pod web"),
        (
            pod("a", "b"),
            "",
            {},
            BadRequestError,
            "a container name must be specified for pod web, choose one of: [a b]",
        ),
        (
            pod("app"),
            "",
            {"previous": True},
            BadRequestError,
            'previous terminated container "app" in pod "web" not found',
        ),
        (
            pod("app", waiting={"reason": "ImagePullBackOff"}),
            "",
            {},
            BadRequestError,
            'container "app" in pod "web" is trying and failing to pull image',
        ),
        (pod("app"), "", {}, BadRequestError, 'container "app" in pod "web" is waiting to start: ContainerCreating'),
    ],
)
async def test_refusals_are_upstreams(
    obj: Object | None, container: str, options: dict[str, Any], error: type[ApiError], text: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        await read(obj, tmp_path, container, **options)
    assert caught.value.message == text
