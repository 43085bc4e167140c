"""The file that tells the command line where the platform of a directory listens. Who writes it: `running`."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from towpath.errors import UserError

RUN_FILE = "run.json"


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
