"""What the working copy's `towpath.yaml` says about places and names, for when no platform runs that could be asked.

Only a few keys are looked at, and nothing is judged: mistakes are reported from the commit, by the blueprint.
"""

from pathlib import Path
from typing import Any

import yaml

from towpath.blueprint.model import (
    BLUEPRINT_FILE,
    DEFAULT_BRANCH,
    DEFAULT_CHANNEL,
    SERVICES_DIRECTORY,
    is_label,
    platform_name,
)
from towpath.config import DEFAULT_HOST, DEFAULT_PORT

LOOPBACK = ("127.0.0.1", "localhost")


def declared_port(root: Path) -> int:
    """The port of the embedded registry, if the file names one on this machine; otherwise the usual one."""
    host, _, port = str(_read(root).get("registry", "")).partition("/")[0].rpartition(":")
    return int(port) if host in LOOPBACK and port.isdecimal() and int(port) < 65536 else DEFAULT_PORT


def declared_branch(root: Path) -> str:
    """The branch that is built and reconciled."""
    branch = _read(root).get("branch")
    return branch if isinstance(branch, str) and branch else DEFAULT_BRANCH


def declared_registry(root: Path) -> str:
    """Host and path of every image, as a build by hand pushes it."""
    document = _read(root)
    registry, name = document.get("registry"), document.get("name")
    if isinstance(registry, str) and registry:
        return registry
    default = name if isinstance(name, str) and name else platform_name(root.name)
    return f"{DEFAULT_HOST}:{DEFAULT_PORT}/{default}"


def declared_channel(root: Path) -> str:
    """The tag that follows the branch."""
    channel = _read(root).get("channel")
    return channel if isinstance(channel, str) and channel else DEFAULT_CHANNEL


def declared_services(root: Path) -> list[str]:
    """The names of services, by convention or by the file, for completion: what is broken is left out."""
    directory = root / SERVICES_DIRECTORY
    found = {path.name for path in directory.iterdir() if path.is_dir()} if directory.is_dir() else set()
    declared = _read(root).get("services")
    entries = declared if isinstance(declared, dict) else {}
    names = (found | {str(name) for name in entries}) - {str(name) for name, entry in entries.items() if entry is False}
    return sorted(name for name in names if is_label(name))


def _read(root: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load((root / BLUEPRINT_FILE).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}
