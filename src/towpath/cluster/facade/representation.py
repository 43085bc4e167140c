"""How an object or a list goes out: as itself, as rows of a table, or as metadata alone. Pure.

kubectl asks by `Accept`, most wanted first: `application/json;as=Table;v=v1;g=meta.k8s.io,…,application/json`.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from towpath.cluster.facade.columns import columns_of
from towpath.kube.objects import GVK, Object, metadata_of

META = "meta.k8s.io/v1"


class Representation(Enum):
    """The forms an answer can take."""

    OBJECT = "object"
    TABLE = "table"
    METADATA = "metadata"


def parse_accept(header: str) -> Representation:
    """The first form in an `Accept` header that we have; objects when none is named."""
    for choice in header.split(","):
        media_type, *parameters = (part.strip() for part in choice.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type not in {"application/json", "*/*", "application/*"}:
            continue
        if values.get("g", "meta.k8s.io") != "meta.k8s.io" or values.get("v", "v1") != "v1":
            continue
        wanted = values.get("as", "")
        if not wanted:
            return Representation.OBJECT
        if wanted == "Table":
            return Representation.TABLE
        if wanted in {"PartialObjectMetadata", "PartialObjectMetadataList"}:
            return Representation.METADATA
    return Representation.OBJECT


def represent(obj: Object, representation: Representation, *, now: float) -> Object:
    """One object in the asked form."""
    if representation is Representation.TABLE:
        return table(str(obj.get("kind", "")), [obj], now=now, list_metadata=_list_metadata(obj))
    if representation is Representation.METADATA:
        return partial(obj)
    return obj


def represent_list(
    gvk: GVK, items: Sequence[Object], representation: Representation, *, metadata: dict[str, Any], now: float
) -> Object:
    """A list in the asked form. `metadata` is the list's own: resourceVersion, continue, remainingItemCount."""
    if representation is Representation.TABLE:
        return table(gvk.kind, items, now=now, list_metadata=metadata)
    if representation is Representation.METADATA:
        partials = [partial(item) for item in items]
        return {"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": metadata, "items": partials}
    # Items of a typed list carry no kind of their own upstream; keeping it is allowed and spares every client a guess.
    return {"kind": f"{gvk.kind}List", "apiVersion": gvk.api_version, "metadata": metadata, "items": list(items)}


def table(
    kind: str, items: Sequence[Object], *, now: float, list_metadata: dict[str, Any], definitions: bool = True
) -> Object:
    """A `meta.k8s.io/v1 Table`; a watch sends the definitions with its first event only."""
    columns = columns_of(kind)
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": list_metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": column.name,
                "priority": 1 if column.wide else 0,
            }
            for column in columns
        ]
        if definitions
        else [],
        "rows": [{"cells": [column.cell(item, now) for column in columns], "object": partial(item)} for item in items],
    }


def partial(obj: Object) -> Object:
    """An object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": metadata_of(obj)}


def _list_metadata(obj: Object) -> dict[str, Any]:
    return {"resourceVersion": str(metadata_of(obj).get("resourceVersion") or "")}
