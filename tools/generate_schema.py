"""Writes `src/towpath/kube/schema.json.gz` from two PyPI packages and two Go modules.

Run by hand when the Kubernetes version moves:

    python -m venv /tmp/schema-venv
    /tmp/schema-venv/bin/pip install --no-deps kubernetes-validate==1.37.0 lightkube-models==1.37.0.8
    go mod download k8s.io/api@v0.37.2 k8s.io/apimachinery@v0.37.2
    .venv/bin/python tools/generate_schema.py /tmp/schema-venv/lib/python3*/site-packages \
        $(go env GOMODCACHE)/k8s.io/{api,apimachinery}@v0.37.2

Neither package is a run-time dependency. `kubernetes-validate` (Apache-2.0) has the type definitions with list types,
map keys and merge strategies; `lightkube-models` (MIT) has plurals, scopes and subresources, against which the table in
`towpath.kube.resources` is checked: a difference stops the generator. The Go
modules (Apache-2.0) are read by `go_types`.

The output holds two gzip members, one JSON document each, so that a reader of the first never unpacks the second:

1. `{"kubernetes": "1.37.0", "definitions": {name: schema}, "omitted": {name: [field]}}`: OpenAPI v3 component schemas
   without descriptions, only the kinds we serve and what they reference, with references as
   `#/components/schemas/<name>`; and the fields that are absent when they are zero.
2. `{name: {"": text of the type, property: text}}`: the descriptions.

The same inputs give the same bytes.
"""

import argparse
import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

from go_types import GoTypes

from towpath.kube.resources import RESOURCES, Resource

OUTPUT = Path(__file__).parent.parent / "src" / "towpath" / "kube" / "schema.json.gz"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
EXTRA_ROOTS = (
    "io.k8s.api.autoscaling.v1.Scale",
    META + "DeleteOptions",
    META + "Patch",
    META + "Status",
    META + "WatchEvent",
)
REFERENCE = "#/components/schemas/"
GVK = "x-kubernetes-group-version-kind"

# Default values of list-map keys: the source has no defaults, and these two decide what counts as the same item.
KEY_DEFAULTS = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
}

# What the source says in JSON Schema of its own, as OpenAPI v3 says it.
SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
}


def convert(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One definition or property in OpenAPI v3 form, without descriptions."""
    if name in SPECIAL:
        return SPECIAL[name]
    out: dict[str, Any] = {}
    for key, value in sorted(schema.items()):
        if key == "type":
            out["type"] = next(kind for kind in value if kind != "null") if isinstance(value, list) else value
        elif key == "$ref":
            out["$ref"] = REFERENCE + value.rsplit("/", 1)[1]
        elif key == "properties":
            out["properties"] = {
                field: convert_property(name, field, definition) for field, definition in sorted(value.items())
            }
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            out[key] = convert("", value)
        elif key == "enum":
            out["enum"] = [item for item in value if item is not None]
        elif key != "description":
            out[key] = value
    return out


def convert_property(name: str, field: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One property; `apiVersion` and `kind` are plain strings upstream, whatever the source pins them to."""
    if field in {"apiVersion", "kind"} and "enum" in schema and len(schema["enum"]) == 1:
        schema = {key: value for key, value in schema.items() if key != "enum"}
    out = convert("", schema)
    if (name, field) in KEY_DEFAULTS:
        out["default"] = KEY_DEFAULTS[name, field]
    return out


def references(schema: Any) -> set[str]:
    """The names a converted definition refers to."""
    if isinstance(schema, dict):
        found = {schema["$ref"].removeprefix(REFERENCE)} if "$ref" in schema else set()
        return found.union(*(references(value) for value in schema.values()))
    return set().union(*(references(item) for item in schema)) if isinstance(schema, list) else set()


def find_roots(definitions: dict[str, Any]) -> set[str]:
    """The definitions of the served kinds, their lists and the common types."""
    wanted = {(resource.gvk.group, resource.gvk.version, resource.gvk.kind) for resource in RESOURCES}
    wanted |= {(group, version, f"{kind}List") for group, version, kind in wanted}
    roots = {
        name
        for name, definition in definitions.items()
        for gvk in definition.get(GVK, ())
        if (gvk["group"], gvk["version"], gvk["kind"]) in wanted
    }
    return roots | set(EXTRA_ROOTS)


def select(definitions: dict[str, Any]) -> dict[str, Any]:
    """Convert the roots and everything they reach."""
    selected: dict[str, Any] = {}
    queue = sorted(find_roots(definitions))
    while queue:
        name = queue.pop()
        if name not in selected:
            selected[name] = convert(name, definitions[name])
            queue += sorted(references(selected[name]) - set(selected))
    for definition in selected.values():
        if len(definition.get(GVK, ())) > 1:  # DeleteOptions and the like name every group upstream
            definition[GVK] = [gvk for gvk in definition[GVK] if (gvk["group"], gvk["version"]) == ("", "v1")]
    return dict(sorted(selected.items()))


def describe(definitions: dict[str, Any], names: list[str]) -> dict[str, dict[str, str]]:
    """The descriptions of the selected definitions."""
    out: dict[str, dict[str, str]] = {}
    for name in names:
        definition = definitions[name]
        texts = {"": definition.get("description", "")}
        texts |= {field: item.get("description", "") for field, item in definition.get("properties", {}).items()}
        out[name] = {field: text for field, text in sorted(texts.items()) if text}
    return out


def check_resource(resource: Resource, models: Path) -> list[str]:
    """How a row of the table differs from lightkube-models. Subresources we leave out are no difference."""
    group, version, kind = resource.gvk
    module = f"{group.removesuffix('.k8s.io').replace('.', '_') or 'core'}_{version}.py"
    text = (models / "resources" / module).read_text()
    marker = rf"class {kind}\(res\.(?P<scope>Namespaced|Global)\w*,.*?\n    _api_info = .*?plural='(?P<plural>\w+)'"
    match = re.search(marker, text, re.DOTALL)
    if match is None:
        return [f"{resource.gvk}: not in {module}"]
    breaches = []
    if match["plural"] != resource.plural:
        breaches.append(f"{resource.gvk}: plural {resource.plural}, upstream {match['plural']}")
    if (match["scope"] == "Namespaced") != resource.namespaced:
        breaches.append(f"{resource.gvk}: scope differs from upstream {match['scope']}")
    known = set(re.findall(rf"class {kind}(\w+)\(res\.", text))
    breaches += [f"{resource.gvk}/{sub}: unknown upstream" for sub in resource.subresources if sub.title() not in known]
    return breaches


def pack(document: Any) -> bytes:
    """One gzip member with canonical JSON, without time or name."""
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    return gzip.compress(raw, 9, mtime=0)


def main() -> int:
    """Generate; 1 if the table of resources contradicts upstream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help="site-packages with kubernetes-validate and lightkube-models")
    parser.add_argument("api", type=Path, help="the Go module k8s.io/api")
    parser.add_argument("apimachinery", type=Path, help="the Go module k8s.io/apimachinery")
    arguments = parser.parse_args()
    breaches = [item for resource in RESOURCES for item in check_resource(resource, arguments.packages / "lightkube")]
    if breaches:
        print("\n".join(breaches))
        return 1
    folders = (arguments.packages / "kubernetes_validate" / "kubernetes-json-schema").glob("v*-local")
    folder = max(folders, key=lambda path: [int(part) for part in path.name[1:].removesuffix("-local").split(".")])
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    selected = select(definitions)
    version = folder.name[1:].removesuffix("-local")
    types = GoTypes(arguments.api, arguments.apimachinery)
    omitted = {name: fields for name in selected if (fields := types.omitted(name))}
    document = {"definitions": selected, "kubernetes": version, "omitted": omitted}
    content = pack(document) + pack(describe(definitions, list(selected)))
    OUTPUT.write_bytes(content)
    print(f"{OUTPUT.name}: Kubernetes {version}, {len(selected)} definitions, {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
