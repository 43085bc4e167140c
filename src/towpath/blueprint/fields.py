"""Readers for what the keys of services and environments share: names, directories, durations, conventions.

Each takes the entries it reads from, reports what is wrong there, and returns a usable value all the same, so that
reading goes on and every problem is found in one pass.
"""

import re
from collections.abc import Iterable, Mapping

from towpath.blueprint.document import Entries, Problem, did_you_mean, is_false
from towpath.blueprint.durations import parse_duration
from towpath.blueprint.model import is_label
from towpath.blueprint.tree import Tree

LABEL_RULE = "a DNS label: lower-case letters, digits and hyphens, at most 63 characters"


def conventional(entries: Entries, names: Iterable[str], directory: str, key: str) -> list[str]:
    """The names of `directory`'s children that the file does not already give another name."""
    taken = set()
    for name in entries.entries:
        node = entries.mapping(name).entries.get(key) if name not in switched_off(entries) else None
        given = node.value if node is not None and isinstance(node.value, str) else f"{directory}/{name}"
        taken.add(tidy(given))
    return [name for name in names if f"{directory}/{name}" not in taken]


def switched_off(entries: Entries) -> set[str]:
    """Names given as `false`: found by convention, but not wanted."""
    return {name for name, node in entries.entries.items() if is_false(node)}


def check_name(entries: Entries, name: str, parent: str, key: str) -> None:
    """Report a name that is not a DNS label: at its key, or at the directory under `parent` it was taken from."""
    if is_label(name):
        return
    if name in entries.entries:
        entries.report(name, f"the name is not {LABEL_RULE}")
        return
    kind = entries.path
    hint = f"rename it, name it with {kind}.<name>.{key}, or leave it out with {kind}.{name}: false"
    problem = Problem(f"{parent}/{name}", 0, "", f"the directory's name is not {LABEL_RULE}", hint)
    entries.document.problems.append(problem)


def check_distinct(entries: Entries, values: Mapping[str, str], key: str) -> None:
    """Report every name whose value another name has already."""
    owners: dict[str, str] = {}
    for name, value in values.items():
        if value in owners:
            entries.report(name, f"has the same {key} as {owners[value]}: {value}")
        owners.setdefault(value, name)


def tidy(path: str) -> str:
    """A path without what people add to it: a leading `./`, a trailing slash."""
    return path.removeprefix("./").rstrip("/") or "."


def directory(entry: Entries, key: str, default: str, tree: Tree) -> str:
    """A directory that exists; without the key, the conventional one."""
    path = tidy(entry.text(key, default))
    if problem := tree.why_not_directory(path):
        near = did_you_mean(path.rpartition("/")[2], tree.children(default.rpartition("/")[0]))
        if key in entry.keys:
            entry.report(key, problem, hint=near)
        else:  # the path follows from the name, so the name is what is wrong
            entry.document.report(entry.name_node, entry.path, problem, hint=near)
    return path


def label(entry: Entries, key: str, default: str) -> str:
    """A DNS label."""
    value = entry.text(key, default)
    if not is_label(value):
        entry.report(key, f"got {value}, expected {LABEL_RULE}")
    return value


def matching(entry: Entries, key: str, default: str, pattern: re.Pattern[str], expected: str) -> str:
    """Text of a form; `expected` says which."""
    value = entry.text(key, default)
    if not pattern.fullmatch(value):
        entry.report(key, f"got {value}, expected {expected}")
    return value


def duration(entry: Entries, key: str, default: float) -> float:
    """A duration, in seconds."""
    expected = 'a duration with a unit, such as "30s", "5m" or "1h30m"'
    value = entry.scalar(key, {"str", "int"}, expected)
    if value is None:
        return default
    try:
        return parse_duration(value)
    except ValueError:
        entry.report(key, f"got {value}, expected {expected}")
        return default
