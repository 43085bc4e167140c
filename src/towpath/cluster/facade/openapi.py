"""`/openapi/v3`: one document a group and version, made of the schema data; kubectl validates and explains by them.

Documents are built on demand and kept compressed: kubectl fetches one only when its own cache lacks the hash in the
index.
"""

import hashlib
import zlib
from typing import Any

import orjson

from towpath.cluster.facade.discovery import group_versions
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.requests import PatchType
from towpath.kube.resources import RESOURCES, Resource
from towpath.kube.schema import Schema
from towpath.kube.typed import REFERENCE

PATCH_TYPES = [*(kind.value for kind in PatchType), "application/apply-patch+yaml"]
COMPONENTS = "#/components/schemas/"
STRING = {"type": "string"}


class OpenApi:
    """The documents of one server."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._compressed: dict[tuple[str, str], bytes] = {}
        self._hash = hashlib.sha256(f"{schema.version} {sorted(schema.definitions)}".encode()).hexdigest()

    def index(self) -> dict[str, Any]:
        """The answer of `/openapi/v3`."""
        paths = {
            (f"apis/{group}/{version}" if group else f"api/{version}"): {
                "serverRelativeURL": f"/openapi/v3/{f'apis/{group}' if group else 'api'}/{version}?hash={self._hash}"
            }
            for group, version in group_versions()
        }
        return {"paths": paths}

    def document(self, group: str, version: str) -> bytes:
        """The document of a group and version, JSON. Raises ApiNotFoundError."""
        if (group, version) not in group_versions():
            raise ApiNotFoundError("the server could not find the requested resource")
        if (group, version) not in self._compressed:
            self._compressed[group, version] = zlib.compress(orjson.dumps(self._build(group, version)), 1)
        return zlib.decompress(self._compressed[group, version])

    def _build(self, group: str, version: str) -> dict[str, Any]:
        resources = [one for one in RESOURCES if (one.gvk.group, one.gvk.version) == (group, version)]
        names = [name for one in resources if (name := self._schema.find_name(one.gvk)) is not None]
        descriptions = self._schema.descriptions()
        schemas = {
            name: _describe(_relink(definition), descriptions.get(name, {}))
            for name, definition in self._schema.closure(names).items()
        }
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": f"v{self._schema.version}"},
            "paths": {path: item for one in resources for path, item in self._paths(one).items()},
            "components": {"schemas": schemas},
        }

    def _paths(self, resource: Resource) -> dict[str, Any]:
        gvk = resource.gvk
        root = f"/apis/{gvk.group}/{gvk.version}" if gvk.group else f"/api/{gvk.version}"
        collection = (
            f"{root}/namespaces/{{namespace}}/{resource.plural}"
            if resource.namespaced
            else (f"{root}/{resource.plural}")
        )
        kind = {"group": gvk.group, "version": gvk.version, "kind": gvk.kind}
        write = [
            {"name": name, "in": "query", "schema": STRING} for name in ("dryRun", "fieldManager", "fieldValidation")
        ]
        body = {"content": {"application/json": {"schema": {"$ref": COMPONENTS + (self._schema.find_name(gvk) or "")}}}}
        patch = {"content": {media_type: {"schema": {"type": "object"}} for media_type in PATCH_TYPES}}
        return {
            collection: {"post": _operation("post", kind, write, body)},
            f"{collection}/{{name}}": {
                "get": _operation("get", kind, [], None),
                "put": _operation("put", kind, write, body),
                "patch": _operation("patch", kind, [*write, {"name": "force", "in": "query", "schema": STRING}], patch),
                "delete": _operation("delete", kind, [], None),
            },
        }


def _operation(action: str, kind: dict[str, str], parameters: list[Any], body: dict[str, Any] | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
    }
    return {**operation, "requestBody": body} if body else operation


def _relink(value: Any) -> Any:
    """References as OpenAPI v3 writes them; one beside other keys goes into `allOf`, as upstream has it."""
    if isinstance(value, list):
        return [_relink(item) for item in value]
    if not isinstance(value, dict):
        return value
    relinked = {key: _relink(item) for key, item in value.items() if key != "$ref"}
    reference = value.get("$ref")
    if not isinstance(reference, str):
        return {**relinked, "$ref": _relink(reference)} if reference is not None else relinked
    link = {"$ref": COMPONENTS + reference.removeprefix(REFERENCE)}
    return {**relinked, "allOf": [link]} if relinked else link


def _describe(definition: dict[str, Any], texts: Any) -> dict[str, Any]:
    described = dict(definition)
    if texts.get(""):
        described["description"] = texts[""]
    properties = definition.get("properties")
    if properties:
        described["properties"] = {name: _with_text(schema, texts.get(name)) for name, schema in properties.items()}
    return described


def _with_text(schema: dict[str, Any], text: str | None) -> dict[str, Any]:
    if not text:
        return schema
    if "$ref" in schema:
        return {"allOf": [schema], "description": text}
    return {**schema, "description": text}
