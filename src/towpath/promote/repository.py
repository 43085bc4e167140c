"""What promotion needs of the platform repository, and the one way an overlay is edited and committed.

`source.GitRepository` satisfies `PlatformRepository`. Writes are compare-and-swap on the branch: who loses the race
reads again and computes the edit again, so two promotions at once both land.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from towpath.blueprint.model import KUSTOMIZATION_FILES, Environment
from towpath.errors import NotFoundError
from towpath.promote.pins import Pin, read_pins
from towpath.source.commits import Commit


class PlatformRepository(Protocol):
    """The platform repository, read and written by commits."""

    async def find_commit(self, rev: str) -> str | None:
        """The full id of a revision, or None."""
        ...

    async def paths(self, commit: str, under: str = "") -> list[str]:
        """All files below a directory, relative to the root."""
        ...

    async def read(self, commit: str, path: str) -> bytes:
        """A file's content. Raises NotFoundError."""
        ...

    async def log(self, rev: str, *, paths: Iterable[str] = (), limit: int = 50) -> list[Commit]:
        """Commits that touched `paths`, newest first."""
        ...

    async def commit_files(
        self, branch: str, files: Mapping[str, bytes], *, message: str, author: str, parent: str
    ) -> str:
        """Commit on top of `parent`. Raises StaleBranchError when the branch has moved."""
        ...


async def get_head(repository: PlatformRepository, branch: str) -> str:
    """The branch's newest commit.

    Raises:
        NotFoundError: nothing was pushed yet.
    """
    head = await repository.find_commit(f"refs/heads/{branch}")
    if head is None:
        raise NotFoundError(
            f"branch {branch} cannot be read (Unborn): nothing was pushed yet", hint=f"git push towpath {branch}"
        )
    return head


async def find_overlay_file(repository: PlatformRepository, commit: str, environment: Environment) -> str | None:
    """The path of the environment's kustomization at a commit, under whichever of its three names."""
    present = set(await repository.paths(commit, environment.overlay))
    names = (f"{environment.overlay}/{name}" for name in KUSTOMIZATION_FILES)
    return next((name for name in names if name in present), None)


async def get_overlay(repository: PlatformRepository, commit: str, environment: Environment) -> tuple[str, str]:
    """Path and text of the environment's kustomization.

    Raises:
        NotFoundError: the overlay is not there at this commit.
    """
    path = await find_overlay_file(repository, commit, environment)
    if path is None:
        raise NotFoundError(
            f"overlay {environment.overlay} cannot be read (NotFound): no kustomization.yaml at {commit[:7]}",
            hint="restore the overlay, or name another one in towpath.yaml",
        )
    return path, (await repository.read(commit, path)).decode()


async def pins_at(repository: PlatformRepository, commit: str, environment: Environment) -> dict[str, Pin]:
    """The environment's pins at a commit, by image name. Raises NotFoundError, PinError."""
    path, text = await get_overlay(repository, commit, environment)
    return read_pins(text, file=path)
