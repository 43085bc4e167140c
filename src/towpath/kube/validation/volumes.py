"""Rules for the volumes of a pod."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from towpath.kube.quantity import QuantityError, parse_quantity
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.containers import validate_field_path
from towpath.kube.validation.names import label_faults, relative_path_faults

Fields: TypeAlias = dict[str, Any]

_MODE_LIMIT = 0o777
_SHORTEST_TOKEN_SECONDS = 600


def validate_volumes(volumes: Iterable[Fields], field: str, causes: Causes) -> set[str]:
    """Check volumes; returns their names."""
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        where = f"{field}[{index}]"
        name = volume.get("name")
        if not name:
            causes.required(f"{where}.name")
        else:
            causes.check(f"{where}.name", name, label_faults(name))
            if name in names:
                causes.duplicate(f"{where}.name", name)
            names.add(name)
        sources = [kind for kind in volume if kind != "name"]
        for kind in sources[1:]:
            causes.forbidden(f"{where}.{kind}", "may not specify more than 1 volume type")
        if not sources:
            causes.required(where, "must specify a volume type")
        _validate_source(volume, where, causes)
    return names


def _validate_source(volume: Fields, where: str, causes: Causes) -> None:
    if isinstance(source := volume.get("configMap"), dict):
        _validate_named(source, "name", f"{where}.configMap", causes)
    if isinstance(source := volume.get("secret"), dict):
        _validate_named(source, "secretName", f"{where}.secret", causes)
    if isinstance(source := volume.get("downwardAPI"), dict):
        _validate_mode(source.get("defaultMode"), f"{where}.downwardAPI.defaultMode", causes)
        _validate_downward(source.get("items") or [], f"{where}.downwardAPI", causes)
    if isinstance(source := volume.get("projected"), dict):
        _validate_mode(source.get("defaultMode"), f"{where}.projected.defaultMode", causes)
        for index, part in enumerate(source.get("sources") or []):
            _validate_part(part, f"{where}.projected.sources[{index}]", causes)
    size = (volume.get("emptyDir") or {}).get("sizeLimit")
    if size is not None:
        try:
            if parse_quantity(size) < 0:
                causes.forbidden(f"{where}.emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity")
        except QuantityError as error:
            causes.invalid(f"{where}.emptyDir.sizeLimit", size, error.message)


def _validate_named(source: Fields, field: str, where: str, causes: Causes) -> None:
    if not source.get(field):
        causes.required(f"{where}.{field}")
    _validate_mode(source.get("defaultMode"), f"{where}.defaultMode", causes)
    _validate_items(source.get("items") or [], where, causes)


def _validate_items(items: Iterable[Fields], where: str, causes: Causes) -> None:
    for index, item in enumerate(items):
        below = f"{where}.items[{index}]"
        for name in ("key", "path"):
            if not item.get(name):
                causes.required(f"{below}.{name}")
        causes.check(f"{below}.path", item.get("path"), relative_path_faults(item.get("path") or ""))
        _validate_mode(item.get("mode"), f"{below}.mode", causes)


def _validate_downward(items: Iterable[Fields], where: str, causes: Causes) -> None:
    for index, item in enumerate(items):
        below = f"{where}[{index}]"
        if not item.get("path"):
            causes.required(f"{below}.path")
        causes.check(f"{below}.path", item.get("path"), relative_path_faults(item.get("path") or ""))
        _validate_mode(item.get("mode"), f"{below}.mode", causes)
        path = (item.get("fieldRef") or {}).get("fieldPath")
        if "fieldRef" in item and path not in {"metadata.labels", "metadata.annotations"}:
            validate_field_path(item["fieldRef"], f"{below}.fieldRef", causes)


def _validate_part(part: Fields, where: str, causes: Causes) -> None:
    for kind in list(part)[1:]:
        causes.forbidden(f"{where}.{kind}", "may not specify more than 1 volume type per source")
    for kind in ("configMap", "secret"):
        if isinstance(source := part.get(kind), dict):
            if not source.get("name"):
                causes.required(f"{where}.{kind}.name")
            _validate_items(source.get("items") or [], f"{where}.{kind}", causes)
    if isinstance(source := part.get("downwardAPI"), dict):
        _validate_downward(source.get("items") or [], f"{where}.downwardAPI", causes)
    if isinstance(token := part.get("serviceAccountToken"), dict):
        if token.get("expirationSeconds", _SHORTEST_TOKEN_SECONDS) < _SHORTEST_TOKEN_SECONDS:
            causes.invalid(
                f"{where}.serviceAccountToken.expirationSeconds",
                token["expirationSeconds"],
                "may not specify a duration less than 10 minutes",
            )
        if not token.get("path"):
            causes.required(f"{where}.serviceAccountToken.path")


def _validate_mode(mode: Any, field: str, causes: Causes) -> None:
    if mode is not None and not 0 <= mode <= _MODE_LIMIT:
        causes.invalid(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")
