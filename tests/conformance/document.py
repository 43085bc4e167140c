"""docs/conformance.md, put together of parts: each suite writes its own and leaves those of the others. Pure.

A part stands between two comments that name it. To add one: an entry in `PARTS` of `tests/conftest.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

HEAD = """# Conformance

What was tested, by whom and with what result. Each part is written by the run that it names; do not edit.
"""


@dataclass(frozen=True)
class Result:
    """One test. `reason` says why it differs on purpose or was not run, `properties` are what it recorded."""

    nodeid: str
    outcome: str
    reason: str = ""
    properties: Mapping[str, object] = field(default_factory=dict)


HEADINGS = "behaviours | cases | passed | differ on purpose | failed | not run"


def format_counts(title: str, results: Sequence[Result]) -> str:
    """A row below `HEADINGS`: a behaviour may have several cases, and each is counted once by its outcome."""
    passed, differ, skipped = (
        sum(one.outcome == outcome for one in results) for outcome in ("passed", "xfailed", "skipped")
    )
    failed = len(results) - passed - differ - skipped
    behaviours = len({one.nodeid.partition("[")[0] for one in results})
    return f"| {title} | {behaviours} | {len(results)} | {passed} | {differ} | {failed} | {skipped} |\n"


def format_omissions(titles: Mapping[str, Sequence[Result]]) -> str:
    """What was not run on which of the titles, and why; empty if nothing was."""
    rows = [
        f"| {format_behaviour(one)} | {title} | {one.reason.removeprefix('Skipped: ')} |\n"
        for title, results in titles.items()
        for one in results
        if one.outcome == "skipped"
    ]
    return "".join(["\n### Not run\n\n| behaviour | where | why |\n|---|---|---|\n", *rows]) if rows else ""


def format_behaviour(result: Result) -> str:
    """The name of a test as the sentence it is."""
    return result.nodeid.partition("::test_")[2].partition("[")[0].replace("_", " ")


def replace_part(document: str, name: str, text: str, *, order: Iterable[str]) -> str:
    """The document with a part replaced, or put where the order of the names wants it."""
    parts = {**find_parts(document), name: text}
    return HEAD + "".join(
        f"\n<!-- part: {one} -->\n{parts[one].strip()}\n<!-- end: {one} -->\n" for one in order if one in parts
    )


def find_parts(document: str) -> dict[str, str]:
    """The parts by name."""
    return dict(re.findall(r"<!-- part: (\w+) -->\n(.*?)\n<!-- end: \1 -->\n", document, re.DOTALL))
