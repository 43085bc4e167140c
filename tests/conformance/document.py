"""docs/conformance.md, put together of parts: each suite writes its own and leaves those of the others. Pure.

A part stands between two comments that name it. To add one: an entry in `PARTS` of `tests/conftest.py`. A part is
compared as it is written: `format_differences` says what a run found otherwise than the document has it.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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


@dataclass(frozen=True)
class Part:
    """A part of the document.

    Args:
        places: where the tests are that report in it.
        write: makes its text of their results.
        command: what a person runs to have it written.
        find_examined: whom its text is about by name and version, where that depends on the machine.
    """

    places: tuple[str, ...]
    write: Callable[[Sequence[Result]], str]
    command: str
    find_examined: Callable[[str], Sequence[str]] = field(default=lambda _: ())


# 40: enough to see what it is about; a part that differs everywhere is read in the file that the command writes.
SHOWN_LINES = 40
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


def format_differences(document: str, name: str, part: Part, text: str) -> list[str]:
    """What a run found otherwise than the document has it, line by line, and the way out; empty where nothing is.

    Whom it examined comes first: a foreign program of another version has another score, and that is no fault of ours.
    """
    written, found = find_parts(document).get(name, "").strip(), text.strip()
    if written == found:
        return []
    was, is_ = (", ".join(part.find_examined(one)) for one in (written, found))
    lines = [f"the document is about {was or 'nobody'}; this run examined {is_}"] if was != is_ else []
    changed = list(difflib.unified_diff(written.splitlines(), found.splitlines(), n=0, lineterm=""))[2:]
    lines += changed[:SHOWN_LINES]
    if len(changed) > SHOWN_LINES:
        lines.append(f"… and {len(changed) - SHOWN_LINES} lines more")
    told = f"part {name!r} is not what this run found: where that is right, run `{part.command}` and commit its result"
    return [*lines, told]
