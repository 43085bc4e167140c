"""One platform a directory: the lock that says so, and the file that tells the command line where it listens."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from towpath.aio.files import write_durably
from towpath.errors import ConflictError, UserError

RUN_FILE = "run.json"
LOCK_FILE = "lock"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Where a running platform is reached.

    Attributes:
        pid: its process.
        url: of Git, registry and API.
        kube_url: of the Kubernetes API.
        version: of Towpath.
        trusted: with TLS, the file to trust; else empty.
        server_name: with TLS, the name that its certificate has.
        registry: `host[:port]` of its registry as images name it.
        registry_plain_http: whether that is spoken to without TLS.
    """

    pid: int
    url: str
    kube_url: str
    version: str
    trusted: str = ""
    server_name: str = ""
    registry: str = ""
    registry_plain_http: bool = True


class Lock:
    """Held while a platform runs; the kernel releases it however the process ends."""

    def __init__(self, state: Path) -> None:
        self._path = state / LOCK_FILE
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise ConflictError(
                f"platform {self._path.parent.parent} cannot start (Running): another process runs it",
                hint="`towpath status` shows it; stop that process first",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def write_run_info(state: Path, info: RunInfo) -> None:
    """Tell the command line where the platform is."""
    write_durably(state / RUN_FILE, json.dumps(asdict(info)).encode() + b"\n", mode=0o600)


def remove_run_info(state: Path) -> None:
    """The platform has stopped."""
    (state / RUN_FILE).unlink(missing_ok=True)


def read_run_info(state: Path) -> RunInfo:
    """Where the platform of this directory runs.

    Raises:
        UserError: it does not run.
    """
    try:
        info = RunInfo(**json.loads((state / RUN_FILE).read_text()))
        os.kill(info.pid, 0)
    except PermissionError:
        return info  # it runs, as another user
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"platform {state.parent} cannot be reached (NotRunning)", hint=f"cd {state.parent} && towpath up"
        ) from error
    return info
