"""A developer's clone, driven by the real git, to push from and to compare with."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from towpath.source.repository import GitRepository

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


class Worktree:
    """A repository with a work tree and an `origin`."""

    def __init__(self, path: Path, origin: str = "") -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet")
        self.git("symbolic-ref", "HEAD", "refs/heads/main")
        if origin:
            self.git("remote", "add", "origin", origin)

    def git(self, *arguments: str, check: bool = True, stdin: bytes = b"") -> str:
        """Run git here; its output without the last newline."""
        result = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**os.environ, **IDENTITY},
            input=stdin,
            capture_output=True,
            check=False,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"git {arguments} failed: {result.stderr.decode()}")
        return (result.stdout + (b"" if check else result.stderr)).decode().rstrip("\n")

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files, making directories."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, str | bytes] | None = None, message: str = "A change") -> str:
        """Write files, commit everything, and return the commit's id."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def push(self, *arguments: str) -> str:
        """Push to origin; `main` unless told otherwise."""
        return self.git("push", "--quiet", "origin", *(arguments or ("main",)))


async def branches_of(repository: GitRepository) -> dict[str, str]:
    """Branch name -> commit id."""
    prefix = "refs/heads/"
    return {ref.removeprefix(prefix): commit for ref, commit in (await repository.refs(prefix)).items()}
