"""Image configurations: how a container is started, and the identity of its unpacked layers (diffIDs)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from towpath.oci.digest import Digest, InvalidDigestError
from towpath.oci.fields import Fields, InvalidDocumentError
from towpath.oci.platform import Platform


class InvalidImageConfigError(InvalidDocumentError):
    """Bytes that are not an image configuration."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("image configuration", problems)


@dataclass(frozen=True, slots=True)
class History:
    """How one layer came to be. `created` is an RFC 3339 time or empty."""

    created: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The parts of an image configuration that a runtime and a builder use.

    `diff_ids` are the digests of the uncompressed layers, lowest first; `exposed_ports` are `8080/tcp`.
    """

    platform: Platform
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    exposed_ports: tuple[str, ...] = ()
    stop_signal: str = ""


def parse_image_config(raw: bytes) -> ImageConfig:
    """Read an image configuration.

    Raises:
        InvalidImageConfigError: with every problem found.
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidImageConfigError([f"line {error.lineno}, column {error.colno}: {error.msg}"]) from error
    problems: list[str] = []
    fields = Fields.of(document, "", problems)
    run = fields.child("config")
    image = ImageConfig(
        platform=Platform(
            fields.text("os", required=True), fields.text("architecture", required=True), fields.text("variant")
        ),
        env=_read_env(run),
        entrypoint=run.texts("Entrypoint"),
        cmd=run.texts("Cmd"),
        user=run.text("User"),
        working_dir=run.text("WorkingDir"),
        labels=run.text_mapping("Labels"),
        diff_ids=_read_diff_ids(fields),
        history=_read_history(fields),
        created=fields.text("created"),
        exposed_ports=tuple(run.mapping("ExposedPorts")),
        stop_signal=run.text("StopSignal"),
    )
    if problems:
        raise InvalidImageConfigError(problems)
    return image


def format_image_config(image: ImageConfig) -> bytes:
    """The configuration as bytes: sorted keys, no white space, so equal values give equal digests."""
    run: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in image.env.items()],
        "Entrypoint": list(image.entrypoint),
        "Cmd": list(image.cmd),
        "User": image.user,
        "WorkingDir": image.working_dir,
        "Labels": dict(image.labels),
        "ExposedPorts": {port: {} for port in image.exposed_ports},
        "StopSignal": image.stop_signal,
    }
    document: dict[str, Any] = {
        "os": image.platform.os,
        "architecture": image.platform.architecture,
        "variant": image.platform.variant,
        "created": image.created,
        "config": {name: value for name, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in image.diff_ids]},
        "history": [_format_history(entry) for entry in image.history],
    }
    kept = {name: value for name, value in document.items() if value or name == "config"}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def _read_env(run: Fields) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in run.texts("Env"))
    return {name: value for name, _, value in pairs if name}


def _read_diff_ids(fields: Fields) -> tuple[Digest, ...]:
    rootfs = fields.child("rootfs")
    digests = []
    for index, text in enumerate(rootfs.texts("diff_ids")):
        try:
            digests.append(Digest.parse(text))
        except InvalidDigestError as error:
            rootfs.note(f"diff_ids[{index}]", error.problem)
    return tuple(digests)


def _read_history(fields: Fields) -> tuple[History, ...]:
    entries = []
    for index, item in enumerate(fields.items("history")):
        entry = Fields.of(item, f"history[{index}]", fields.problems)
        entries.append(
            History(entry.text("created"), entry.text("created_by"), entry.text("comment"), entry.flag("empty_layer"))
        )
    return tuple(entries)


def _format_history(entry: History) -> dict[str, Any]:
    document = {
        "created": entry.created,
        "created_by": entry.created_by,
        "comment": entry.comment,
        "empty_layer": entry.empty_layer,
    }
    return {name: value for name, value in document.items() if value}
