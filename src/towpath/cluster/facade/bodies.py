"""What a request asks for in its query and body: decoding, with the refusals of the real server.

Pure: the bytes were read elsewhere.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
import yaml

from towpath.kube.errors import BadRequestError, UnsupportedMediaTypeError
from towpath.kube.objects import Object
from towpath.kube.requests import DeleteOptions, FieldValidation, PatchType, Propagation, WriteOptions

APPLY = "application/apply-patch+yaml"
YAML_TYPES = {"application/yaml", "application/x-yaml", "text/yaml", APPLY}
PROTOBUF = "application/vnd.kubernetes.protobuf"
# 3 MiB: the limit of the real server's request bodies.
BODY_LIMIT = 3 * 1024 * 1024


def decode_body(body: bytes, content_type: str) -> Any:
    """The document in a request's body.

    Raises:
        UnsupportedMediaTypeError: protobuf, or something else that is neither JSON nor YAML.
        BadRequestError: it is not what its type says.
    """
    media_type = content_type.partition(";")[0].strip().lower() or "application/json"
    if media_type == PROTOBUF:
        raise UnsupportedMediaTypeError(
            "the body of the request was in an unknown format - accepted media types include: application/json, "
            "application/yaml; write the object with `kubectl apply -f`, which sends JSON"
        )
    try:
        if media_type in YAML_TYPES:
            return yaml.load(body, Loader=yaml.CSafeLoader)
        if media_type == "application/json" or media_type.endswith("+json"):
            return orjson.loads(body)
    except (ValueError, yaml.YAMLError) as error:
        raise BadRequestError(f"error decoding the body of the request: {error}") from error
    raise UnsupportedMediaTypeError(
        "the body of the request was in an unknown format - accepted media types include: application/json, "
        f"application/yaml; got {media_type}"
    )


def decode_object(body: bytes, content_type: str) -> Object:
    """An object in a request's body. Raises BadRequestError when it is none."""
    document = decode_body(body, content_type)
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise BadRequestError("Object 'Kind' is missing in the body of the request")
    return document


def patch_type(content_type: str) -> PatchType | None:
    """The type of a patch; None for server-side apply. Raises UnsupportedMediaTypeError."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == APPLY:
        return None
    try:
        return PatchType(media_type)
    except ValueError as error:
        known = ", ".join([*PatchType, APPLY])
        raise UnsupportedMediaTypeError(
            f"the body of the request was in an unknown format - accepted media types include: {known}"
        ) from error


def write_options(query: Mapping[str, str], *, user_agent: str, subresource: str) -> WriteOptions:
    """How a write is meant. Raises BadRequestError for values the API does not know."""
    return WriteOptions(
        # A client that does not name itself is known by the first word of its agent, as on a real server.
        field_manager=query.get("fieldManager") or re.split(r"[/\s]", user_agent, maxsplit=1)[0][:128] or "unknown",
        dry_run=_dry_run(query.get("dryRun", "")),
        force=query.get("force", "").lower() in {"true", "1"},
        subresource=subresource,
        field_validation=_choice(
            FieldValidation, query.get("fieldValidation") or FieldValidation.WARN, "fieldValidation"
        ),
    )


def delete_options(query: Mapping[str, str], document: Mapping[str, Any]) -> DeleteOptions:
    """How a delete is meant: from the body, else from the query."""
    propagation = document.get("propagationPolicy") or query.get("propagationPolicy")
    grace = document.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    preconditions = document.get("preconditions") or {}
    dry_run = document.get("dryRun") or query.get("dryRun", "")
    try:
        grace_seconds = None if grace is None else int(grace)
    except (TypeError, ValueError) as error:
        raise BadRequestError(f"gracePeriodSeconds: Invalid value: {grace!r}: must be a number") from error
    return DeleteOptions(
        propagation=_choice(Propagation, propagation or Propagation.BACKGROUND, "propagationPolicy"),
        grace_period_seconds=grace_seconds,
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=_dry_run(dry_run[0] if isinstance(dry_run, list) else dry_run),
    )


def _dry_run(value: str) -> bool:
    if value not in {"", "All"}:
        raise BadRequestError(f'dryRun: Invalid value: "{value}": supported values: "All"')
    return value == "All"


def _choice(kind: Any, value: str, field: str) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(f'"{one}"' for one in kind)
        raise BadRequestError(f'{field}: Unsupported value: "{value}": supported values: {known}') from error
