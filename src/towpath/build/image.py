"""Puts an image together: base, the service's layer, configuration and manifest. Pure values in, exact bytes out.

The base's layers, history and every configuration field that is not ours pass through untouched; equal input gives
equal bytes on any machine. Conventions: the service stands in `/app`, its working directory; user 65532 unless the
blueprint says otherwise; `main.py` is run by `python3`, a package with `__main__.py` by `python3 -m`. The process finds
its version and commit in its environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from towpath.aio.clock import format_rfc3339
from towpath.blueprint.model import COMMIT_VARIABLE, VERSION_VARIABLE, Service
from towpath.build.entries import BuildError
from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import History, ImageConfig, format_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform

APP_DIRECTORY = "app"
_DOCKERFILES = ("Dockerfile", "Containerfile")


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer's descriptor and the file that holds its bytes."""

    descriptor: Descriptor
    path: Path


@dataclass(frozen=True, slots=True)
class Base:
    """What a service's layer is laid upon.

    Attributes:
        name: `host`, or the reference as the blueprint gives it.
        digest: the manifest's digest; None for `host`, which is no image of its own.
        config: the base's configuration.
        config_raw: its bytes, for the fields that `config` does not model.
        layers: lowest first.
    """

    name: str
    digest: Digest | None
    config: ImageConfig
    config_raw: bytes
    layers: tuple[LayerBlob, ...]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build.

    Attributes:
        service: from the blueprint.
        context: its directory.
        commit: the full id of the commit it is built from; empty outside of Git.
        tree_id: Git's id of the directory's tree; empty when the directory is not exactly that tree.
        source_url: where the repository is found; empty when nowhere.
        committed_at: time of the commit, in seconds since the epoch; becomes the image's creation time.
        tag: the artifact tag, `sha-<7>`; becomes the version label.
        platform: what to build for; the base must offer it.
    """

    service: Service
    context: Path
    commit: str
    tree_id: str
    source_url: str
    committed_at: float
    tag: str
    platform: Platform


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image ready to be pushed; nothing of it is in a registry because of it.

    Attributes:
        manifest_raw: the manifest's bytes.
        media_type: its media type.
        digest: its digest; the image's identity.
        config_raw: the configuration's bytes.
        layers: lowest first.
        cached: whether no layer had to be written.
        warnings: what a person should know though the build went well.
    """

    manifest_raw: bytes
    media_type: str
    digest: Digest
    config_raw: bytes
    layers: tuple[LayerBlob, ...]
    cached: bool = False
    warnings: tuple[str, ...] = field(default=())

    @property
    def descriptor(self) -> Descriptor:
        """What an index says of this image."""
        return Descriptor(self.media_type, self.digest, len(self.manifest_raw))

    @property
    def config_descriptor(self) -> Descriptor:
        """What the manifest says of the configuration."""
        return Descriptor(media.OCI_CONFIG, Digest.of(self.config_raw), len(self.config_raw))


def find_entrypoint(service: Service, names: frozenset[str]) -> tuple[str, ...]:
    """How the image starts.

    Args:
        service: its `entrypoint` wins.
        names: the paths of the files in its directory.

    Raises:
        BuildError: the blueprint names none and no convention applies.
    """
    if service.entrypoint:
        return service.entrypoint
    if "main.py" in names:
        return ("python3", f"/{APP_DIRECTORY}/main.py")
    packages = sorted(name.removesuffix("/__main__.py") for name in names if name.endswith("/__main__.py"))
    packages = [package for package in packages if "/" not in package and package.isidentifier()]
    own = service.name.replace("-", "_")
    if own in packages or len(packages) == 1:
        return ("python3", "-m", own if own in packages else packages[0])
    if "__main__.py" in names:
        return ("python3", f"/{APP_DIRECTORY}")
    if packages:
        raise BuildError(
            f"service {service.name} has no entrypoint (EntrypointAmbiguous): {', '.join(packages)} can all be run",
            hint=f"set services.{service.name}.entrypoint in towpath.yaml, as in [python3, -m, {packages[0]}]",
        )
    dockerfile = next((name for name in _DOCKERFILES if name in names), None)
    if dockerfile:
        raise BuildError(
            f"service {service.name} cannot be built from a {dockerfile} (EngineMissing): Towpath builds directories "
            "with a main.py, a package with __main__.py, or an entrypoint, on the base host or any image",
            hint=f"add a main.py, or set services.{service.name}.entrypoint and base in towpath.yaml",
        )
    raise BuildError(
        f"service {service.name} has no entrypoint (EntrypointMissing): there is no main.py and no package with "
        f"__main__.py in {service.path}",
        hint=f"add a main.py, or set services.{service.name}.entrypoint in towpath.yaml",
    )


def compose_image(
    request: BuildRequest, base: Base, layer: LayerBlob, diff_id: Digest, entrypoint: tuple[str, ...]
) -> BuiltImage:
    """Configuration and manifest of a service's image."""
    created = format_rfc3339(request.committed_at)
    labels = image_labels(request, base, created)
    told = {VERSION_VARIABLE: request.tag, COMMIT_VARIABLE: request.commit}
    env = {**base.config.env, **{name: value for name, value in told.items() if value}, **request.service.env}
    if "-m" in entrypoint:
        # A pod may set another working directory; the package must be found all the same.
        env.setdefault("PYTHONPATH", f"/{APP_DIRECTORY}")
    history = History(created, f"towpath build {request.service.name}")
    config = replace(
        base.config,
        env=env,
        entrypoint=entrypoint,
        cmd=(),
        user=request.service.user,
        working_dir=f"/{APP_DIRECTORY}",
        labels={**base.config.labels, **labels},
        diff_ids=(*base.config.diff_ids, diff_id),
        history=(*base.config.history, history),
        created=created,
        exposed_ports=(f"{request.service.port}/tcp",),
    )
    config_raw = merge_config(base.config_raw, config)
    layers = (*base.layers, layer)
    manifest = Manifest(
        config=Descriptor(media.OCI_CONFIG, Digest.of(config_raw), len(config_raw)),
        layers=tuple(blob.descriptor for blob in layers),
        annotations=labels,
    )
    raw = format_manifest(manifest)
    return BuiltImage(raw, media.OCI_MANIFEST, Digest.of(raw), config_raw, layers)


def image_labels(request: BuildRequest, base: Base, created: str) -> dict[str, str]:
    """The labels that tie an image to its commit; what is unknown is left out."""
    labels = {
        annotations.TITLE: request.service.name,
        annotations.REVISION: request.commit,
        annotations.SOURCE: request.source_url,
        annotations.CREATED: created,
        annotations.VERSION: request.tag,
        annotations.BASE_NAME: base.name if base.digest else "",
        annotations.BASE_DIGEST: str(base.digest) if base.digest else "",
        annotations.TREE: request.tree_id,
    }
    return {name: value for name, value in labels.items() if value}


def merge_config(base_raw: bytes, config: ImageConfig) -> bytes:
    """`config` as bytes, with whatever else the base's configuration says (volumes, health check, a history's author).

    A field that `config` leaves empty is taken out, for an inherited `Cmd` would become arguments of our entrypoint.
    """
    document: dict[str, Any] = orjson.loads(base_raw) if base_raw else {}
    ours: dict[str, Any] = orjson.loads(format_image_config(config))
    theirs: dict[str, Any] = document.get("config") or {}
    ours["config"] = {**_without(theirs, ("Entrypoint", "Cmd", "ArgsEscaped", "Image")), **ours["config"]}
    history = document.get("history") or []
    if history and len(config.history) > len(history):
        ours["history"] = [*history, *ours["history"][len(history) :]]
    return orjson.dumps({**document, **ours}, option=orjson.OPT_SORT_KEYS)


def _without(mapping: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}
