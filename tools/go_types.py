"""Reads from the Go source of the Kubernetes API which fields vanish when they are zero.

A field that is a plain string, number or boolean (no pointer) and is tagged `omitempty` cannot say zero: an API server
decodes it into the struct and encodes it as absent. No published schema has that; the source has. This reads the
declarations of structs and of named scalars, no more Go than that.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_SCALARS = frozenset({"string", "bool", "int", "int32", "int64", "uint32", "uint64", "float32", "float64"})
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"^type (\w+) ([\w.]+)$", re.MULTILINE)
_FIELD = re.compile(r"^\t(?:(?P<name>\w+)\s+)?(?P<type>[\w.*\[\]]+)\s+`[^`]*json:\"(?P<tag>[^\"]*)\"", re.MULTILINE)
# What the packages of the API call each other.
_ALIASES = {"v1": "api/core/v1", "corev1": "api/core/v1", "metav1": "apimachinery/pkg/apis/meta/v1"}
_ALIASES["types"] = "apimachinery/pkg/types"


@dataclass
class _Package:
    structs: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)


class GoTypes:
    """The types of `k8s.io/api` and `k8s.io/apimachinery`."""

    def __init__(self, api: Path, apimachinery: Path) -> None:
        self._roots = {"api": api, "apimachinery": apimachinery}
        self._packages: dict[str, _Package] = {}

    def omitted(self, definition: str) -> list[str]:
        """The wire names of the fields of a definition (`io.k8s.api.core.v1.EnvVar`) that are absent when zero."""
        words = definition.split(".")
        if words[2] not in self._roots:
            return []
        return sorted(self._omitted("/".join(words[2:-1]), words[-1]))

    def _omitted(self, package: str, name: str) -> set[str]:
        found: set[str] = set()
        for match in _FIELD.finditer(self._package(package).structs.get(name, "")):
            wire, _, flags = match["tag"].partition(",")
            if not wire and not match["name"]:  # embedded
                found |= self._omitted(*self._resolve(package, match["type"]))
            elif "omitempty" in flags.split(",") and self._is_scalar(package, match["type"]):
                found.add(wire)
        return found

    def _is_scalar(self, package: str, kind: str) -> bool:
        if kind in _SCALARS:
            return True
        if kind.startswith(("*", "[", "map[")):
            return False
        package, name = self._resolve(package, kind)
        under = self._package(package).named.get(name)
        return under is not None and self._is_scalar(package, under)

    def _resolve(self, package: str, kind: str) -> tuple[str, str]:
        alias, _, name = kind.rpartition(".")
        return (_ALIASES.get(alias, alias), name) if alias else (package, kind)

    def _package(self, path: str) -> _Package:
        found = self._packages.get(path)
        if found is None:
            found = self._packages[path] = _Package()
            root, _, folder = path.partition("/")
            for file in sorted((self._roots[root] / folder).glob("*.go")) if root in self._roots else []:
                if not file.name.startswith(("zz_", "generated.")) and not file.name.endswith("_test.go"):
                    text = file.read_text()
                    found.structs.update(_STRUCT.findall(text))
                    found.named.update(_NAMED.findall(text))
        return found
