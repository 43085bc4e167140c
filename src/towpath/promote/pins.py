"""The versions an overlay names: reading them, and moving them without touching anything else in the file.

Pure text to text. An edit splices new scalars into the very places the YAML parser reports, so comments, quoting, order
and blank lines stay as the author wrote them; the result is parsed again and must differ in the pins alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from towpath.errors import UserError

PLAIN_SCALAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")  # no sign that YAML gives a meaning at the start


class PinError(UserError):
    """A kustomization whose pins cannot be read or moved safely."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry of a kustomization's `images`: the name in the manifests, and what replaces it."""

    name: str
    new_name: str = ""
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Registry and repository of the image."""
        return self.new_name or self.name


@dataclass(frozen=True, slots=True)
class _Splice:
    start: int
    end: int
    text: str

    def apply(self, text: str) -> str:
        return text[: self.start] + self.text + text[self.end :]


def read_pins(text: str, *, file: str = "kustomization.yaml") -> dict[str, Pin]:
    """The pins of a kustomization by image name, in the order of the file.

    Raises:
        PinError: the file is no YAML mapping, or names an image twice.
    """
    pins: dict[str, Pin] = {}
    for entry in _entries(_root(text, file), file):
        values = {key.value: value.value for key, value in entry.value if isinstance(value, yaml.ScalarNode)}
        pin = Pin(values.get("name", ""), values.get("newName", ""), values.get("newTag", ""), values.get("digest", ""))
        if pin.name in pins:
            raise PinError(
                f"{file}:{entry.start_mark.line + 1} image {pin.name} cannot be read (Duplicate): it is named twice",
                hint="keep one entry for each image",
            )
        pins[pin.name] = pin
    return pins


def find_pin(pins: Mapping[str, Pin], service: str, registry: str) -> Pin | None:
    """The pin of a service: by the bare image name, or by its repository under `registry`."""
    repository = f"{registry}/{service}"
    by_name = pins.get(service) or pins.get(repository)
    return by_name or next((pin for pin in pins.values() if pin.repository == repository), None)


def set_pins(text: str, pins: Mapping[str, Pin], *, file: str = "kustomization.yaml") -> str:
    """The same file with the tags of `pins` (by image name); an image without entry gets one.

    A digest that stood beside or instead of a tag goes: kustomize would prefer it over the new tag.

    Raises:
        PinError: the place of a pin is shared by an anchor, or the edit would change anything else.
    """
    entries = {_scalar(entry, "name"): entry for entry in _entries(_root(text, file), file)}
    edited = text
    # From the end of the file to its start, so that the offsets of what is still to do stay true.
    moves = [
        splice for name, pin in pins.items() if name in entries for splice in _move(text, entries[name], pin.tag, file)
    ]
    for splice in sorted(moves, key=lambda splice: splice.start, reverse=True):
        edited = splice.apply(edited)
    missing = [pin for name, pin in pins.items() if name not in entries]
    if missing:
        edited = _append(edited, _root(edited, file), missing).apply(edited)
    _verify(text, edited, pins, file)
    return edited


def _root(text: str, file: str) -> yaml.MappingNode:
    try:
        # The pure Python loader: its marks know the offset into the text.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        problem = getattr(error, "problem", None) or "not YAML"
        raise PinError(f"{where} cannot be read (Syntax): {problem}", hint="mend the file, then try again") from error
    if not isinstance(root, yaml.MappingNode):
        raise PinError(f"{file} cannot be read (NotAMapping): a kustomization is a mapping of keys")
    return root


def _entries(root: yaml.MappingNode, file: str) -> list[yaml.MappingNode]:
    images = _child(root, "images")
    if images is None or (isinstance(images, yaml.ScalarNode) and not images.value):
        return []
    if not isinstance(images, yaml.SequenceNode) or not all(isinstance(one, yaml.MappingNode) for one in images.value):
        raise PinError(
            f"{file}:{images.start_mark.line + 1} images cannot be read (NotAList): a list of mappings expected"
        )
    return list(images.value)


def _child(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    return next((value for key, value in node.value if key.value == name), None)


def _scalar(node: yaml.MappingNode, name: str) -> str:
    child = _child(node, name)
    return child.value if isinstance(child, yaml.ScalarNode) else ""


def _move(text: str, entry: yaml.MappingNode, tag: str, file: str) -> list[_Splice]:
    by_key = {key.value: (key, value) for key, value in entry.value}
    for _, value in by_key.values():
        if value.start_mark.index < entry.start_mark.index or value.end_mark.index > entry.end_mark.index:
            raise PinError(
                f"{file}:{entry.start_mark.line + 1} pin cannot be moved (Alias): an anchor shares its value",
                hint="write the tag out in this entry",
            )
    if "newTag" in by_key:
        _, value = by_key["newTag"]
        splices = [_Splice(value.start_mark.index, _value_end(value), _quoted(tag, value.style))]
        if "digest" in by_key:
            splices.append(_removal(text, entry, *by_key["digest"]))
        return splices
    if "digest" in by_key:
        key, value = by_key["digest"]
        return [_Splice(key.start_mark.index, _value_end(value), f"newTag: {_quoted(tag, None)}")]
    _, last = entry.value[-1]
    end = _value_end(last)
    if entry.flow_style:
        return [_Splice(end, end, f", newTag: {_quoted(tag, None)}")]
    line_end = _line_end(text, end)
    return [_Splice(line_end, line_end, f"\n{' ' * entry.start_mark.column}newTag: {_quoted(tag, None)}")]


def _value_end(value: yaml.Node) -> int:
    end: int = value.end_mark.index
    return end


def _removal(text: str, entry: yaml.MappingNode, key: yaml.Node, value: yaml.Node) -> _Splice:
    start, end = key.start_mark.index, _value_end(value)
    if entry.flow_style:
        before = text.rfind(",", 0, start)
        if before > entry.start_mark.index:
            return _Splice(before, end, "")
        return _Splice(start, text.index(",", end) + 1, "")
    if key is entry.value[0][0]:  # it stands behind the dash: keep the dash, drop up to the next key
        return _Splice(start, entry.value[1][0].start_mark.index, "")
    line_start = text.rfind("\n", 0, start) + 1
    return _Splice(line_start, min(_line_end(text, end) + 1, len(text)), "")


def _append(text: str, root: yaml.MappingNode, pins: list[Pin]) -> _Splice:
    images = _child(root, "images")
    if isinstance(images, yaml.SequenceNode) and images.value and not images.flow_style:
        last: yaml.MappingNode = images.value[-1]
        _, last_value = last.value[-1]
        at = _line_end(text, _value_end(last_value))
        return _Splice(at, at, "".join(f"\n{line}" for line in _entry_lines(pins, images.start_mark.column)))
    block = "\n".join(["images:", *_entry_lines(pins, 2)])
    if images is not None:
        key = next(key for key, _ in root.value if key.value == "images")
        # An empty list, or one in flow style: written anew as a block, with what it held.
        held = [Pin(**_fields(one)) for one in images.value] if isinstance(images, yaml.SequenceNode) else []
        return _Splice(
            key.start_mark.index, _value_end(images), "\n".join(["images:", *_entry_lines([*held, *pins], 2)])
        )
    newline = "" if not text or text.endswith("\n") else "\n"
    return _Splice(len(text), len(text), f"{newline}{block}\n")


def _fields(entry: yaml.MappingNode) -> dict[str, str]:
    names = {"name": "name", "newName": "new_name", "newTag": "tag", "digest": "digest"}
    return {field: _scalar(entry, key) for key, field in names.items()}


def _entry_lines(pins: list[Pin], column: int) -> list[str]:
    lines = []
    for pin in pins:
        fields = {"name": pin.name, "newName": pin.new_name, "newTag": pin.tag, "digest": "" if pin.tag else pin.digest}
        present = [f"{key}: {_quoted(value, None)}" for key, value in fields.items() if value]
        lines += [f"{' ' * column}{'- ' if index == 0 else '  '}{line}" for index, line in enumerate(present)]
    return lines


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _quoted(value: str, style: str | None) -> str:
    if style in ("'", '"'):
        return f"{style}{value}{style}"
    return value if PLAIN_SCALAR.fullmatch(value) and yaml.safe_load(value) == value else f'"{value}"'


def _verify(before: str, after: str, pins: Mapping[str, Pin], file: str) -> None:
    expected: dict[str, Any] = yaml.safe_load(before) or {}
    images: list[dict[str, Any]] = expected.setdefault("images", []) or []
    expected["images"] = images
    for name, pin in pins.items():
        entry = next((image for image in images if image.get("name") == name), None)
        if entry is None:
            images.append({"name": pin.name, **({"newName": pin.new_name} if pin.new_name else {}), "newTag": pin.tag})
        else:
            entry["newTag"] = pin.tag
            entry.pop("digest", None)
    if yaml.safe_load(after) != expected:
        raise PinError(
            f"{file} pin cannot be moved (UnsafeEdit): the edit would change more than the pins",
            hint="set newTag in the file by hand and commit it",
        )
