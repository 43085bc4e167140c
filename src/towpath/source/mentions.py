"""Every place where files of a branch mention something, at any commit since a moment: one `git log`, not one a commit.

What is mentioned at any commit of the window either stands in the tree at its beginning, or was added by a commit in
it; so both are searched, and no tree in between. A merge is compared with each of its parents.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from towpath.source import git
from towpath.source.git import GitError

# Tens of thousands of commits take seconds; a stuck disk must not hold up a collection for ever.
TIMEOUT_SECONDS = 300.0
_HEADER = re.compile(r"\x01([0-9a-f]{40,64})")


@dataclass(frozen=True, slots=True)
class Mention:
    """A line of a file at a commit."""

    commit: str
    path: str
    line: str


async def read_mentions(
    repository: Path, head: str, *, since: float, pattern: str, suffixes: tuple[str, ...]
) -> list[Mention]:
    """The lines that match, oldest window state first, then as they were added, newest first.

    Args:
        repository: a bare repository.
        head: the full id of a commit.
        since: the window's beginning, in seconds since the epoch.
        pattern: a POSIX extended regular expression.
        suffixes: how the files' names end.

    Raises:
        GitError: the history cannot be read.
    """
    listed = await git.run(repository, "rev-list", "-1", f"--before={int(since)}", head)
    begin = listed.stdout.decode().strip()
    mentions = await _standing(repository, begin, pattern, suffixes) if begin else []
    excluded = [f"^{begin}"] if begin else []
    log = await git.run(
        repository,
        "log",
        "-m",
        "-p",
        "--no-color",
        "--no-ext-diff",
        "--no-renames",
        "--unified=0",
        "--format=%x01%H",
        f"-G{pattern}",
        head,
        *excluded,
        timeout_seconds=TIMEOUT_SECONDS,
    )
    matches = re.compile(pattern)
    text = log.stdout.decode(errors="replace")
    return mentions + [one for one in _added(text) if one.path.endswith(suffixes) and matches.search(one.line)]


async def _standing(repository: Path, commit: str, pattern: str, suffixes: tuple[str, ...]) -> list[Mention]:
    found = await git.run(
        repository, "grep", "-I", "-z", "--no-color", "--extended-regexp", "-e", pattern, commit, check=False
    )
    if found.returncode not in {0, 1}:
        raise GitError(f"git grep failed: {git.shown_error(found.stderr)}")
    mentions = []
    for line in found.stdout.decode(errors="replace").split("\n"):
        path, _, text = line.removeprefix(f"{commit}:").partition("\x00")
        if path.endswith(suffixes):
            mentions.append(Mention(commit, path, text))
    return mentions


def _added(log: str) -> Iterator[Mention]:
    """The lines that a log with patches adds."""
    commit = path = ""
    in_head = True
    for line in log.split("\n"):
        if header := _HEADER.match(line):
            commit = header.group(1)
        elif line.startswith("diff --git "):
            in_head = True
        elif in_head and line.startswith("+++ "):
            path = line[4:].strip('"\t').removeprefix("b/")
        elif line.startswith("@@"):
            in_head = False
        elif not in_head and line.startswith("+"):
            yield Mention(commit, path, line[1:])
