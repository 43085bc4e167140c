"""The files of configMap, secret, downwardAPI and projected volumes: which (pure), and written as one atomic step.

The layout is the kubelet's: files live in a dated directory, `..data` links to it, and each visible name links into
`..data`. An update swaps `..data`, so a reader sees all the old files or all the new ones, and a watcher of the
directory is told.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from towpath.cluster.node.pod.fields import resolve_field, resolve_resource
from towpath.cluster.node.pod.references import Config, ConfigKey, MissingConfigError, containers_of
from towpath.errors import UserError
from towpath.kube.objects import Object

DATA = "..data"
DEFAULT_MODE = 0o644
TOKEN_MODE = 0o600


class VolumeError(UserError):
    """A volume that cannot be made as it is asked for."""


@dataclass(frozen=True, slots=True)
class ProjectedFile:
    """One file of a volume."""

    content: bytes
    mode: int = DEFAULT_MODE


class TokenSource(Protocol):
    """Gives a pod's service account token."""

    def token(self, pod: Object, *, lifetime_seconds: int) -> str:
        """A fresh token for this pod."""
        ...


Files = dict[str, ProjectedFile]


def plan_files(
    pod: Object, volume: Mapping[str, Any], config: Config, tokens: TokenSource | None, allocatable: Mapping[str, str]
) -> Files:
    """The files of one volume, by relative path.

    Raises:
        MissingConfigError: an object or key does not exist and is not optional.
        VolumeError: a path that leaves the volume, or a source this node does not know.
        FieldError: a field that cannot be referred to.
    """
    if volume.get("projected"):
        source = volume["projected"]
        default = source.get("defaultMode", DEFAULT_MODE)
        files: Files = {}
        for part in source.get("sources") or []:
            files |= _plan_source(pod, part, config, tokens, allocatable=allocatable, default=default)
        return files
    kind, source = next(
        (kind, volume[kind]) for kind in ("configMap", "secret", "downwardAPI") if volume.get(kind) is not None
    )
    renamed = {**source, "name": source.get("secretName")} if kind == "secret" else source
    default = source.get("defaultMode", DEFAULT_MODE)
    return _plan_source(pod, {kind: renamed}, config, tokens, allocatable=allocatable, default=default)


def write_files(directory: Path, files: Files) -> bool:
    """Make `directory` show exactly these files; False if it already did. Raises OSError."""
    current = directory / DATA
    if current.is_symlink() and _read_files(current) == files:
        return False
    directory.mkdir(parents=True, exist_ok=True)
    dated = Path(tempfile.mkdtemp(dir=directory, prefix=".."))
    dated.chmod(0o755)
    for name, file in files.items():
        path = dated / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    before = current.readlink() if current.is_symlink() else None
    swap = directory / "..data_tmp"
    swap.unlink(missing_ok=True)
    swap.symlink_to(dated.name)
    swap.replace(current)
    _link_names(directory, {name.partition("/")[0] for name in files})
    if before is not None:
        shutil.rmtree(directory / before, ignore_errors=True)
    return True


def _plan_source(
    pod: Object,
    part: Mapping[str, Any],
    config: Config,
    tokens: TokenSource | None,
    *,
    allocatable: Mapping[str, str],
    default: int,
) -> Files:
    if part.get("serviceAccountToken") is not None:
        source = part["serviceAccountToken"]
        if tokens is None:
            raise VolumeError("serviceAccountToken: this cluster issues no tokens")
        token = tokens.token(pod, lifetime_seconds=int(source.get("expirationSeconds") or 3600))
        return {_check_path(source.get("path", "token")): ProjectedFile(token.encode(), TOKEN_MODE)}
    if part.get("downwardAPI") is not None:
        return _plan_downward(pod, part["downwardAPI"], allocatable, default)
    for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        if part.get(field) is not None:
            return _plan_data(part[field], ConfigKey(kind, part[field].get("name") or ""), config, default)
    raise VolumeError(f"a projected volume has a source this node does not know: {sorted(part)}")


def _plan_data(source: Mapping[str, Any], key: ConfigKey, config: Config, default: int) -> Files:
    data = config.find_data(key)
    if data is None:
        if source.get("optional"):
            return {}
        data = config.get_data(key)
    items = source.get("items")
    if not items:
        return {_check_path(name): ProjectedFile(value, default) for name, value in data.items()}
    files: Files = {}
    for item in items:
        if item["key"] in data:
            files[_check_path(item["path"])] = ProjectedFile(data[item["key"]], item.get("mode", default))
        elif not source.get("optional"):
            raise MissingConfigError(f"references non-existent {key.kind.lower()} key: {item['key']}")
    return files


def _plan_downward(pod: Object, source: Mapping[str, Any], allocatable: Mapping[str, str], default: int) -> Files:
    files: Files = {}
    for item in source.get("items") or []:
        if item.get("fieldRef"):
            text = resolve_field(pod, item["fieldRef"].get("fieldPath", ""))
        else:
            reference = item.get("resourceFieldRef") or {}
            name = reference.get("containerName")
            container: Object = next((c for c in containers_of(pod) if c.get("name") == name), {})
            text = resolve_resource(container, reference, allocatable=allocatable)
        files[_check_path(item["path"])] = ProjectedFile(text.encode(), item.get("mode", default))
    return files


def _check_path(path: str) -> str:
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise VolumeError(f"volume path {path!r} is refused (ClimbsOut): it must stay inside the volume")
    return path


def _read_files(directory: Path) -> Files:
    files: Files = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            files[str(path.relative_to(directory))] = ProjectedFile(path.read_bytes(), path.stat().st_mode & 0o777)
    return files


def _link_names(directory: Path, wanted: set[str]) -> None:
    for entry in os.scandir(directory):
        if not entry.name.startswith("..") and entry.name not in wanted:
            Path(entry.path).unlink()
    for name in wanted:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
