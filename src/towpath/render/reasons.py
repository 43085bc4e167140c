"""Reads kustomize's error text: which file, why, and what to do next.

Kustomize wraps its errors several times over and repeats itself (`accumulation err='…': must build at directory…`).
The table below finds the part a person needs. A text no row knows is shown as it is, shortened, so that nothing gets
lost. Pure.
"""

import re
from dataclasses import dataclass

# 400: the longest known kustomize reason with two paths fits.
SHOWN_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an overlay cannot be rendered; `file` is relative to the repository and may be empty."""

    text: str
    file: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    pattern: re.Pattern[str]
    text: str
    file: str = ""
    hint: str = ""


_KUSTOMIZATION = "{folder}/kustomization.yaml"
_MEND = "correct it and push again; what runs keeps running"
# Where kustomize was when it failed: the innermost folder it names, else the overlay itself.
_FOLDER = re.compile(r"(?:recursed accumulation of|couldn't make target for) path '(?P<folder>[^']*)'")
_ROWS = (
    _Row(
        re.compile(r"evalsymlink failure on '(?P<path>[^']*)'.*no such file or directory", re.DOTALL),
        "{path} does not exist",
        _KUSTOMIZATION,
        "add the file, or remove it from the kustomization",
    ),
    _Row(
        re.compile(r"unable to find one of 'kustomization.yaml'.*in directory '(?P<path>[^']*)'", re.DOTALL),
        "no kustomization.yaml in this folder",
        "{path}",
        "create it, or correct the overlay path in the blueprint",
    ),
    _Row(
        re.compile(r"security; file '(?P<path>[^']*)' is not in or below '(?P<root>[^']*)'"),
        "{path} lies outside of {root}",
        _KUSTOMIZATION,
        "refer to its folder (with a kustomization.yaml), not to the file",
    ),
    _Row(
        re.compile(r"already registered id: (?P<id>\S+?)'?(:|$)"),
        "two resources have the id {id}",
        _KUSTOMIZATION,
        "rename one, or make one of them a patch",
    ),
    _Row(
        re.compile(r"no resource matches strategic merge patch (?P<id>\"[^\"]+\")"),
        "the patch {id} matches no resource",
        _KUSTOMIZATION,
        "compare kind, name and apiVersion of the patch with the resource",
    ),
    _Row(re.compile(r"unknown field (?P<name>\"[^\"]+\")"), "unknown field {name}", _KUSTOMIZATION, _MEND),
    _Row(
        re.compile(r"accumulating resources from '(?P<path>[^']*)': MalformedYAMLError: (?P<why>.*?)( in File: .*)?$"),
        "{why}",
        "{folder}/{path}",
        _MEND,
    ),
    _Row(
        re.compile(r"accumulating resources from '(?P<path>[^']*)': missing metadata.name"),
        "an object without metadata.name (or without apiVersion or kind)",
        "{folder}/{path}",
        _MEND,
    ),
    _Row(re.compile(r"invalid Kustomization: (?P<why>.*)", re.DOTALL), "{why}", _KUSTOMIZATION, _MEND),
    _Row(re.compile(r"kustomization.yaml is empty"), "the file is empty", _KUSTOMIZATION, "list its resources"),
    _Row(
        re.compile(r"must specify --enable-helm"),
        "helmCharts are not supported",
        _KUSTOMIZATION,
        "render the chart into the repository (helm template) and list the result under resources",
    ),
    _Row(
        re.compile(r"external plugins disabled; unable to load external plugin '(?P<name>[^']*)'"),
        "plugin {name} is not supported",
        _KUSTOMIZATION,
        "rendering runs no programs; use kustomize's built-in fields",
    ),
    _Row(
        re.compile(r'unmarshal errors:\s*(?P<why>line \d+: mapping key "[^"]+" already defined at line \d+)'),
        "{why}",
        hint=_MEND,
    ),
)


def explain(text: str, *, overlay: str, root: str) -> Reason:
    """The reason in kustomize's `text`; paths below `root` (an absolute folder) become paths in the repository."""
    for folder in (f"/private{root}", root):  # macOS shows the resolved temporary folder
        text = text.replace(f"{folder}/", "").replace(folder, ".")
    text = text.strip().removeprefix("error: ")
    for row in _ROWS:
        match = row.pattern.search(text)
        if match:
            values = {name: value or "" for name, value in match.groupdict().items()}
            values["folder"] = next(reversed(_FOLDER.findall(text)), overlay)
            return Reason(_fill(row.text, values), _fill(row.file, values), row.hint)
    hint = f"`kubectl kustomize {overlay}` in a clone shows the same"
    return Reason(_one_line(text) or "kustomize failed without a message", hint=hint)


def _fill(template: str, values: dict[str, str]) -> str:
    return _one_line(template.format_map(values)) if template else ""


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"
