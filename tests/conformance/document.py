"""docs/conformance.md, put together of parts: each suite writes its own and leaves those of the others. Pure.

A part stands between two comments that name it. To add one: an entry in `PARTS` of `tests/conftest.py`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

HEAD = """# Conformance

What was tested, by whom and with what result. Each part is written by the run that it names; do not edit.
"""


@dataclass(frozen=True)
class Result:
    """One test. `reason` says why it differs on purpose, `properties` are what it recorded."""

    nodeid: str
    outcome: str
    reason: str = ""
    properties: Mapping[str, object] = field(default_factory=dict)


def replace_part(document: str, name: str, text: str, *, order: Iterable[str]) -> str:
    """The document with a part replaced, or put where the order of the names wants it."""
    parts = {**find_parts(document), name: text}
    return HEAD + "".join(
        f"\n<!-- part: {one} -->\n{parts[one].strip()}\n<!-- end: {one} -->\n" for one in order if one in parts
    )


def find_parts(document: str) -> dict[str, str]:
    """The parts by name."""
    return dict(re.findall(r"<!-- part: (\w+) -->\n(.*?)\n<!-- end: \1 -->\n", document, re.DOTALL))
