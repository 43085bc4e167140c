"""A manifest as YAML that people read before they apply it: each object and each rule says why it is there. Pure."""

import textwrap
from collections.abc import Iterable

import yaml

from towpath.install.manifest import Document

WIDTH = 100


def format_manifest(documents: Iterable[Document], *, head: str = "") -> str:
    """The documents, one after the other; `head` is the first comment."""
    parts = [_comment(head, indent="")] if head else []
    return "---\n".join([*parts, *(_format(document) for document in documents)])


def _format(document: Document) -> str:
    rules = document.obj.get("rules") or []
    obj = {key: value for key, value in document.obj.items() if key != "rules"}
    text = _comment(document.comment, indent="") + _yaml(obj)
    if not rules:
        return text
    text += "rules:\n"
    for rule, why in zip(rules, document.whys or ("",) * len(rules), strict=True):
        item = "- " + textwrap.indent(_yaml(rule), "  ").lstrip()
        text += _comment(why, indent="  ") + textwrap.indent(item, "  ")
    return text


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=WIDTH)


def _comment(text: str, *, indent: str) -> str:
    lines = [line for part in text.splitlines() for line in (textwrap.wrap(part, WIDTH) or [""])]
    return "".join(f"{indent}# {line}".rstrip() + "\n" for line in lines)


class _Dumper(yaml.SafeDumper):
    """Without anchors: the same labels stand in many places, and a reader wants to see them there."""

    def ignore_aliases(self, data: object) -> bool:
        """Always."""
        del data
        return True
