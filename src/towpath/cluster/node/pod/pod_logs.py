"""Which log file a request for a pod's log means, with the refusals of upstream's API."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

from towpath.cluster.node.pod.log_reader import LogQuery, read_log
from towpath.cluster.node.pod.logs import LogFile
from towpath.cluster.node.pod.references import containers_of
from towpath.kube.errors import ApiNotFoundError, BadRequestError
from towpath.kube.objects import Object, find_path
from towpath.kube.requests import LogOptions


class LogSource(NamedTuple):
    """Where a pod's logs are: the directory, and the files being written by container name."""

    directory: Path
    live: Callable[[str], LogFile | None]


async def read_pod_log(
    pod: Object | None, name: tuple[str, str], container: str, query: LogQuery, source: LogSource
) -> AsyncIterator[bytes]:
    """The log of one container of a pod.

    Args:
        pod: the object, if there is one.
        name: namespace and name asked for.
        container: its name; "" for the only one.
        query: what of the log.
        source: where the logs are.

    Raises:
        ApiNotFoundError: no such pod.
        BadRequestError: no such container, no such run, or it has not begun yet.
    """
    if pod is None:
        raise ApiNotFoundError(f'pods "{name[1]}" not found')
    chosen = choose_container(pod, container)
    status = _find_status(pod, chosen)
    runs = _find_runs(source.directory / chosen)
    current = int((status or {}).get("restartCount") or 0)
    live = source.live(chosen)
    if live is not None and not live.is_closed:
        current = int(live.path.name.partition(".")[0])
    if query.previous:
        wanted = current - 1
        if wanted not in runs:
            raise BadRequestError(f'previous terminated container "{chosen}" in pod "{name[1]}" not found')
    else:
        wanted = current
        if wanted not in runs and current - 1 in runs:
            wanted = current - 1  # it is about to be started again; the last run is what there is to see
        if wanted not in runs:
            raise BadRequestError(_describe_waiting(name[1], chosen, status))
    path = source.directory / chosen / f"{wanted}.log"
    async for piece in read_log(path, query, lambda: source.live(chosen)):
        yield piece


def make_query(options: LogOptions, *, now: float) -> LogQuery:
    """The query that options mean at a moment (epoch seconds)."""
    since = options.get("since_seconds")
    return LogQuery(
        previous=bool(options.get("previous")),
        follow=bool(options.get("follow")),
        tail_lines=options.get("tail_lines"),
        since=None if since is None else now - since,
        timestamps=bool(options.get("timestamps")),
    )


def choose_container(pod: Object, container: str) -> str:
    """The container meant. Raises BadRequestError."""
    name = find_path(pod, "metadata", "name")
    names = [entry["name"] for entry in containers_of(pod)]
    if container:
        if container not in names:
            raise BadRequestError(f"container {container} is not valid for pod {name}")
        return container
    main = [entry["name"] for entry in find_path(pod, "spec", "containers") or []]
    if len(main) == 1:
        return str(main[0])
    shown = " ".join(main)
    raise BadRequestError(f"a container name must be specified for pod {name}, choose one of: [{shown}]")


def _find_status(pod: Object, container: str) -> Object | None:
    for field in ("containerStatuses", "initContainerStatuses"):
        for status in find_path(pod, "status", field) or []:
            if status.get("name") == container:
                found: Object = status
                return found
    return None


def _find_runs(directory: Path) -> set[int]:
    names = [path.name.partition(".")[0] for path in directory.glob("*.log")]
    return {int(name) for name in names if name.isdecimal()}


def _describe_waiting(pod: str, container: str, status: Object | None) -> str:
    reason = find_path(status or {}, "state", "waiting", "reason") or "ContainerCreating"
    what = (
        "trying and failing to pull image"
        if reason in {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}
        else f"waiting to start: {reason}"
    )
    return f'container "{container}" in pod "{pod}" is {what}'
