"""YAML documents to Kubernetes objects, read as kubectl reads them.

PyYAML's defaults would turn dates into Python dates, `22:22` into the number 1342 and a repeated key into the last
one; Kubernetes reads the first as strings and refuses the last. Aliases are limited because a few nested ones expand
to gigabytes. Pure.
"""

import re
from collections.abc import Hashable, Iterable
from typing import Any

import yaml

from towpath.errors import UserError
from towpath.kube.objects import Object, name_of

# Upstream kustomize output holds no aliases; a hand-written file has a handful. 100 nodes more than read is a bomb.
MAX_ALIASES = 100


class ManifestError(UserError):
    """A document is not YAML, or not a Kubernetes object. `line` counts from 1; 0 when unknown."""

    def __init__(self, reason: str, *, line: int = 0) -> None:
        self.reason = f"line {line}: {reason}" if line else reason
        self.line = line
        super().__init__(f"manifest could not be read (InvalidManifest): {self.reason}")


class _Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            _refuse_repeated_keys(node)
        return super().construct_mapping(node, deep=deep)  # type: ignore[arg-type]


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))


_resolve("null", r"~|null|Null|NULL|", "~nN")
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile("^$")))
_resolve("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO")
_resolve("int", r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)", "-+0123456789")
_resolve("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)", "-+.0123456789")
_resolve("merge", "<<", "<")


def parse_manifests(text: bytes) -> list[Object]:
    """The objects of a YAML stream; empty documents are left out and `List` objects are opened.

    Raises:
        ManifestError: not YAML, a repeated key, too many aliases, or a document that is no Kubernetes object.
    """
    try:
        _refuse_aliases(text)
        documents = list(yaml.load_all(text, _Loader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ManifestError(error.problem or "not YAML", line=line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError("not YAML") from error
    return list(_open_lists(document for document in documents if document is not None))


def _open_lists(documents: Iterable[Any]) -> Iterable[Object]:
    for number, document in enumerate(documents, 1):
        if not isinstance(document, dict):
            raise ManifestError(f"document {number} is a {type(document).__name__}, expected an object")
        missing = [field for field in ("apiVersion", "kind") if not isinstance(document.get(field), str)]
        if not missing and document["kind"].endswith("List") and isinstance(document.get("items"), list):
            yield from _open_lists(document["items"])
            continue
        if not isinstance(document.get("metadata"), dict) or not name_of(document):
            missing.append("metadata.name")
        if missing:
            raise ManifestError(f"document {number} lacks {', '.join(missing)}")
        yield document


def _refuse_aliases(text: bytes) -> None:
    if b"*" not in text:
        return
    aliases = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        aliases += isinstance(event, yaml.AliasEvent)
        if aliases > MAX_ALIASES:
            raise ManifestError(
                f"more than {MAX_ALIASES} aliases", line=event.start_mark.line + 1 if event.start_mark else 0
            )


def _refuse_repeated_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise ManifestError(f'mapping key "{key.value}" already defined', line=key.start_mark.line + 1)
            seen.add(key.value)
