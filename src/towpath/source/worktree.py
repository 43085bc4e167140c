"""A developer's work tree: which commit it is at, what differs from it, which of its files count.

Read only, and as a commit would have it: ignored files do not count, untracked ones do. The index is not refreshed, no
hook and no configured program runs.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from towpath.errors import UserError
from towpath.source import git


@dataclass(frozen=True, slots=True)
class WorkTree:
    """One work tree.

    Attributes:
        root: its top directory.
        git_directory: where its repository is.
    """

    root: Path
    git_directory: Path

    async def changes(self, paths: Iterable[str]) -> list[str]:
        """Files at or below these paths that a commit would change, untracked ones among them."""
        chosen = [path for path in paths if path != "."]
        listed = await git.run(
            self.git_directory,
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--no-renames",
            "--",
            *([] if "." in paths else chosen),
            env=self._environment(),
        )
        return [os.fsdecode(record[3:]) for record in listed.stdout.split(b"\x00") if record]

    async def files(self, path: str) -> frozenset[str]:
        """The files below a directory that a commit would have, relative to it."""
        prefix = "" if path == "." else f"{path}/"
        listed = await git.run(
            self.git_directory,
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--full-name",
            "--",
            *([path] if prefix else []),
            env=self._environment(),
        )
        names = (os.fsdecode(record) for record in listed.stdout.split(b"\x00") if record)
        return frozenset(name.removeprefix(prefix) for name in names)

    async def find_remote(self, *names: str) -> str:
        """The URL of the first of these remotes that there is, without credentials; empty when there is none."""
        pattern = f"^remote\\.({'|'.join(map(re.escape, names))})\\.url$"
        asked = await git.run(self.git_directory, "config", "-z", "--get-regexp", pattern, check=False)
        records = [record.partition("\n") for record in asked.stdout.decode(errors="replace").split("\x00")]
        # A remote may have several: the last one is what `git config --get` answers.
        urls = {key: url for key, _, url in records}
        found = (urls.get(f"remote.{name}.url", "") for name in names)
        return _without_credentials(next((url.strip() for url in found if url), ""))

    def _environment(self) -> dict[str, str]:
        return {"GIT_WORK_TREE": str(self.root)}


async def find_worktree(directory: Path) -> WorkTree | None:
    """The work tree whose top is `directory`; None when Git knows nothing of it.

    Raises:
        UserError: it is below the top of one.
    """
    asked = await git.run(
        None, "-C", str(directory), "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-dir", check=False
    )
    lines = os.fsdecode(asked.stdout).splitlines()
    if asked.returncode != 0 or len(lines) != 2:
        return None
    top, git_directory = (Path(line) for line in lines)
    if top.resolve() != directory.resolve():
        raise UserError(
            f"{directory} is not the top of its Git repository (NotTop): that is {top}",
            hint="a platform repository has towpath.yaml at its top: move it there, or use -C",
        )
    return WorkTree(top, git_directory)


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
