"""Puts an image together: base, the layers laid upon it, configuration and manifest. Pure values in, exact bytes out.

The base's layers, history and every configuration field that is not ours pass through untouched; equal input gives
equal bytes on any machine. Conventions: the working directory is where the service's files stand; user 65532 unless the
blueprint says otherwise. The process finds its version and commit in its environment. How a service starts: `recipes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from towpath.aio.clock import format_rfc3339
from towpath.blueprint.model import COMMIT_VARIABLE, VERSION_VARIABLE, Service
from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import History, ImageConfig, format_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform

# Of container runtimes, for a base that sets none.
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer's descriptor and the file that holds its bytes.

    Attributes:
        descriptor: digest, size and media type.
        path: the file, in the build cache.
        shared: whether other images have it too, so that a registry may have it in another repository.
        home: a repository (`registry/repository`) that it came from; empty when it was made here.
    """

    descriptor: Descriptor
    path: Path
    shared: bool = False
    home: str = ""


@dataclass(frozen=True, slots=True)
class AddedLayer:
    """A layer laid upon the base: its bytes, its identity, and the line that the image's history has for it."""

    blob: LayerBlob
    diff_id: Digest
    created_by: str


@dataclass(frozen=True, slots=True)
class Start:
    """How an image starts.

    Attributes:
        entrypoint: the program and its arguments; empty for the base's own.
        working_dir: where it starts; empty for the base's own.
        import_path: where Python is to look for modules first.
        program_path: where programs are looked for first.
    """

    entrypoint: tuple[str, ...]
    working_dir: str
    import_path: tuple[str, ...] = ()
    program_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A Python package in an image; `hashes` are those its lock accepts, `sha256:<hex>`, empty when unknown."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What is laid upon a base: it follows from a service's files, its settings and the base, whatever the commit.

    Attributes:
        added: the layers, lowest first.
        start: how the image starts.
        cached: whether no layer had to be written.
        packages: the Python packages among them.
        lock: the lock file that names those, and its digest; empty without one.
        warnings: what a person should know though the build went well.
    """

    added: tuple[AddedLayer, ...]
    start: Start
    cached: bool = False
    packages: tuple[LockedPackage, ...] = ()
    lock: str = ""
    warnings: tuple[str, ...] = ()


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
        only: the files of the directory that count, when not all do (a work tree has ignored ones); None for all.
    """

    service: Service
    context: Path
    commit: str
    tree_id: str
    source_url: str
    committed_at: float
    tag: str
    platform: Platform
    only: frozenset[str] | None = None


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
        packages: the Python packages of its dependency layer.
        lock: the lock file they were installed from and its digest, `requirements.lock sha256:…`; empty without one.
        engine: the program that ran its Dockerfile, and its version; empty when there is none.
    """

    manifest_raw: bytes
    media_type: str
    digest: Digest
    config_raw: bytes
    layers: tuple[LayerBlob, ...]
    cached: bool = False
    warnings: tuple[str, ...] = field(default=())
    packages: tuple[LockedPackage, ...] = ()
    lock: str = ""
    engine: str = ""

    @property
    def size(self) -> int:
        """Bytes of everything that a node pulls."""
        layers = sum(layer.descriptor.size for layer in self.layers)
        return layers + len(self.config_raw) + len(self.manifest_raw)

    @property
    def descriptor(self) -> Descriptor:
        """What an index says of this image."""
        return Descriptor(self.media_type, self.digest, len(self.manifest_raw))

    @property
    def config_descriptor(self) -> Descriptor:
        """What the manifest says of the configuration."""
        return Descriptor(media.OCI_CONFIG, Digest.of(self.config_raw), len(self.config_raw))


def compose(request: BuildRequest, base: Base, parts: Parts) -> BuiltImage:
    """The image of a service that is no Dockerfile."""
    image = compose_image(request, base, parts.added, parts.start)
    return replace(image, cached=parts.cached, packages=parts.packages, lock=parts.lock, warnings=parts.warnings)


def compose_image(request: BuildRequest, base: Base, added: Sequence[AddedLayer], start: Start) -> BuiltImage:
    """Configuration and manifest of a service's image."""
    created = format_rfc3339(request.committed_at)
    labels = image_labels(request, base, created)
    history = [History(created, layer.created_by) for layer in added]
    keeps_start = not start.entrypoint
    config = replace(
        base.config,
        env=_environment(request, base, start),
        entrypoint=base.config.entrypoint if keeps_start else start.entrypoint,
        cmd=base.config.cmd if keeps_start else (),
        user=request.service.user,
        working_dir=start.working_dir or base.config.working_dir,
        labels={**base.config.labels, **labels},
        diff_ids=(*base.config.diff_ids, *(layer.diff_id for layer in added)),
        history=(*base.config.history, *history),
        created=created,
        exposed_ports=(f"{request.service.port}/tcp",),
    )
    config_raw = merge_config(base.config_raw, config)
    layers = (*base.layers, *(layer.blob for layer in added))
    manifest = Manifest(
        config=Descriptor(media.OCI_CONFIG, Digest.of(config_raw), len(config_raw)),
        layers=tuple(blob.descriptor for blob in layers),
        annotations=labels,
    )
    raw = format_manifest(manifest)
    return BuiltImage(raw, media.OCI_MANIFEST, Digest.of(raw), config_raw, layers)


def _environment(request: BuildRequest, base: Base, start: Start) -> dict[str, str]:
    """The base's variables, then what the process is told about itself, then the service's own; paths are joined."""
    told = {VERSION_VARIABLE: request.tag, COMMIT_VARIABLE: request.commit}
    env = {**base.config.env, **{name: value for name, value in told.items() if value}, **request.service.env}
    if start.import_path:
        env["PYTHONPATH"] = ":".join([*_split(request.service.env.get("PYTHONPATH", "")), *start.import_path])
    if start.program_path:
        env["PATH"] = ":".join([*start.program_path, *_split(env.get("PATH", _DEFAULT_PATH))])
    return env


def _split(path: str) -> list[str]:
    return [part for part in path.split(":") if part]


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
