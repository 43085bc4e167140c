"""The volumes of one pod on this machine, and where they show in its containers.

emptyDir directories live in the pod's directory (or in memory), everything projected is written by `projection`.
Secrets and tokens are kept in memory where there is a tmpfs. Kinds this node does not have are refused by name, so that
a pod never runs without something it asked for.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towpath.cluster.node.image.layers import remove_tree
from towpath.cluster.node.pod.environment import expand
from towpath.cluster.node.pod.fields import FieldError
from towpath.cluster.node.pod.projection import TokenSource, VolumeError, plan_files, write_files
from towpath.cluster.node.pod.references import Config, MissingConfigError
from towpath.cluster.node.sandbox.argv import Mount
from towpath.cluster.node.sandbox.beneath import open_beneath
from towpath.kube.objects import Object, find_path

ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ACCOUNT_VOLUME = "kube-api-access"
_PROJECTED = ("configMap", "secret", "projected", "downwardAPI")


class MountError(VolumeError):
    """A volume is not ready; the text is the kubelet's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeContext:
    """What volumes are filled from."""

    config: Config
    tokens: TokenSource | None
    allocatable: Mapping[str, str]


class PodVolumes:
    """The volumes of one pod. Blocking, but only small files are written."""

    def __init__(self, directory: Path, memory: Path | None) -> None:
        """Remember the places.

        Args:
            directory: of this pod, on disk.
            memory: of this pod, on a tmpfs; None where there is none.
        """
        self._directory = directory / "volumes"
        self._memory = memory
        self._paths: dict[str, Path] = {}
        self._read_only: set[str] = set()

    def prepare(self, pod: Object, context: VolumeContext) -> bool:
        """Make all volumes, or bring their files up to date; whether a file changed.

        Raises:
            MountError: naming the volume and why.
        """
        changed = False
        for volume in find_path(pod, "spec", "volumes") or []:
            name = volume["name"]
            try:
                changed |= self._prepare_one(pod, volume, context)
            except (VolumeError, MissingConfigError, FieldError, OSError) as error:
                raise MountError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
        return changed

    def mounts(self, container: Object, env: Mapping[str, str]) -> list[Mount]:
        """Where the volumes show in a container. Raises MountError."""
        found = []
        for mount in container.get("volumeMounts") or []:
            name = mount["name"]
            source = self._paths.get(name)
            if source is None:
                raise MountError(f'volumeMounts of container "{container.get("name")}": no volume "{name}"')
            subpath = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env)
            ours = name in self._read_only  # nobody else writes there
            inner = _resolve_subpath(source, subpath, make=not ours) if subpath else ""
            read_only = bool(mount.get("readOnly")) or ours
            if ours:
                found.append(Mount(str(source / inner), mount["mountPath"], read_only))
            else:
                found.append(Mount(str(source), mount["mountPath"], read_only, inner))
        return found

    def remove(self) -> None:
        """Remove everything."""
        remove_tree(self._directory)
        if self._memory is not None:
            remove_tree(self._memory)

    def _prepare_one(self, pod: Object, volume: Mapping[str, Any], context: VolumeContext) -> bool:
        name = volume["name"]
        if volume.get("emptyDir") is not None:
            in_memory = volume["emptyDir"].get("medium") == "Memory"
            path = self._paths[name] = self._place(name, in_memory=in_memory)
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
            return False
        kind = next((kind for kind in _PROJECTED if volume.get(kind) is not None), None)
        if kind is None:
            kinds = sorted(set(volume) - {"name"})
            raise VolumeError(f"volume type {', '.join(kinds) or 'none'} is not supported by this node")
        path = self._place(name, in_memory=kind in {"secret", "projected"})
        files = plan_files(pod, volume, context.config, context.tokens, context.allocatable)
        changed = write_files(path, files)
        self._paths[name] = path
        self._read_only.add(name)
        return changed

    def _place(self, name: str, *, in_memory: bool) -> Path:
        if in_memory and self._memory is not None:
            return self._memory / name
        return self._directory / name


def with_service_account(pod: Object, account: Object | None) -> Object:
    """The pod as admission would complete it: its service account's token mounted, unless it is opted out (pure)."""
    wanted = find_path(pod, "spec", "automountServiceAccountToken")
    if wanted is None:
        wanted = (account or {}).get("automountServiceAccountToken")
    if wanted is False or account is None:
        return pod
    spec = dict(pod["spec"])
    volume = {
        "name": ACCOUNT_VOLUME,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ]
        },
    }
    mount = {"name": ACCOUNT_VOLUME, "mountPath": ACCOUNT_MOUNT, "readOnly": True}
    added = False
    for kind in ("initContainers", "containers"):
        containers = []
        for container in spec.get(kind) or []:
            mounts = container.get("volumeMounts") or []
            if any(existing.get("mountPath") == ACCOUNT_MOUNT for existing in mounts):
                containers.append(container)
            else:
                containers.append({**container, "volumeMounts": [*mounts, mount]})
                added = True
        if containers:
            spec[kind] = containers
    if not added:
        return pod
    return {**pod, "spec": {**spec, "volumes": [*(spec.get("volumes") or []), volume]}}


def _resolve_subpath(volume: Path, subpath: str, *, make: bool) -> str:
    """The part of a volume, relative and without links."""
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise MountError(f"subPath {subpath!r} is refused (ClimbsOut): it must stay inside the volume")
    # A workload may have put a link there that leads out of its volume; what it leads to must not be mounted.
    root, path = volume.resolve(), (volume / subpath).resolve()
    if os.path.commonpath([root, path]) != str(root):
        raise MountError(f"subPath {subpath!r} is refused (LinkEscape): a symbolic link leads out of the volume")
    inner = "" if path == root else str(path.relative_to(root))
    if make:
        # The workload may change what was looked at a moment ago; so, here and when it is mounted, no link is followed.
        try:
            os.close(open_beneath(str(root), inner, make="" if path.exists() else "directory", mode=0o777))
        except OSError as error:
            raise MountError(f"subPath {subpath!r} is refused (Changed): {error.strerror or error}") from error
    elif not path.exists():
        raise MountError(f"subPath {subpath!r} does not exist in the volume")
    return inner
