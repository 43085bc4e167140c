"""From a container's specification and its image to a sandbox: user, directory, limits, stop signal (pure)."""

import signal
from collections.abc import Mapping
from typing import Any

from towpath.cluster.node.image.user import User
from towpath.cluster.node.sandbox.cgroups import Limits
from towpath.errors import UserError
from towpath.kube.objects import Object, find_path
from towpath.kube.quantity import parse_quantity

# 4096: a fork bomb is stopped long before the machine is; no ordinary service comes near.
DEFAULT_PIDS = 4096


class ContainerConfigError(UserError):
    """The container cannot be configured as asked; the text is the kubelet's."""


def security_of(pod: Object, container: Object) -> Mapping[str, Any]:
    """The container's security context laid over the pod's."""
    return {**(find_path(pod, "spec", "securityContext") or {}), **(container.get("securityContext") or {})}


def apply_security(user: User, security: Mapping[str, Any], *, image_user: str, who: str) -> User:
    """The user a container runs as. Raises ContainerConfigError, which names `who`, when `runAsNonRoot` forbids it."""
    uid = security.get("runAsUser")
    gid = security.get("runAsGroup")
    chosen = User(user.uid if uid is None else int(uid), user.gid if gid is None else int(gid), user.home)
    if security.get("runAsNonRoot") and uid is None:
        name = image_user.partition(":")[0]
        if name and not name.isdecimal():
            raise ContainerConfigError(
                f"container has runAsNonRoot and image has non-numeric user ({name}), "
                f"cannot verify user is non-root {who}"
            )
    if security.get("runAsNonRoot") and chosen.uid == 0:
        what = (
            "container's runAsUser breaks non-root policy"
            if uid is not None
            else ("container has runAsNonRoot and image will run as root")
        )
        raise ContainerConfigError(f"{what} {who}")
    return chosen


def limits_of(container: Object) -> Limits:
    """What a container may use."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return Limits(
        memory_bytes=int(parse_quantity(str(limits.get("memory") or "0"))),
        cpu_cores=float(parse_quantity(str(limits.get("cpu") or "0"))),
        pids=DEFAULT_PIDS,
    )


def stop_signal(name: str) -> int:
    """The number of an image's `StopSignal` (`SIGINT`, `INT`, `2`); SIGTERM for none or an unknown one."""
    text = name.strip().upper()
    if text.isdecimal():
        return int(text) if 0 < int(text) < signal.NSIG else signal.SIGTERM
    text = text if text.startswith("SIG") else f"SIG{text}"
    return int(getattr(signal, text, signal.SIGTERM)) if text in signal.Signals.__members__ else signal.SIGTERM
