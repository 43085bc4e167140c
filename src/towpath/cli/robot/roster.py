"""The robots that a command works on: those of the running platform, or those in the files of a registry.

Without a running platform the files are changed (`fileroster`); a registry that is served from them sees it at its next
request.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from towpath.cli.connection import Connection
from towpath.cli.directory import directory_option
from towpath.config import DEFAULT_HOST, STATE_DIRECTORY, find_root
from towpath.errors import NotFoundError, UserError
from towpath.server.runfile import read_run_info

F = TypeVar("F", bound=Callable[..., Any])
# What a directory may hold that is as good as empty: what a file system has from its making.
FRESH = frozenset({"lost+found"})


class Roster(Protocol):
    """What can be done with robots; the documents are those of the platform's API."""

    def list(self) -> dict[str, Any]:
        """All robots."""
        ...

    def create(
        self, name: str, *, repositories: Sequence[str], allow: Sequence[str], lifetime_seconds: float | None
    ) -> dict[str, Any]:
        """Make one, for ever where there is no lifetime. Raises UserError, ConflictError."""
        ...

    def rotate(self, name: str, *, overlap_seconds: float) -> dict[str, Any]:
        """Give one a new secret. Raises NotFoundError."""
        ...

    def revoke(self, name: str) -> dict[str, Any]:
        """End one. Raises NotFoundError."""
        ...


class PlatformRoster:
    """Through the API of the running platform."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> dict[str, Any]:
        """All robots."""
        found: dict[str, Any] = self._connection.get("/robots")
        return found

    def create(
        self, name: str, *, repositories: Sequence[str], allow: Sequence[str], lifetime_seconds: float | None
    ) -> dict[str, Any]:
        """Make one."""
        body = {"name": name, "repositories": [*repositories], "allow": [*allow], "lifetime_seconds": lifetime_seconds}
        return self._post("/robots", body)

    def rotate(self, name: str, *, overlap_seconds: float) -> dict[str, Any]:
        """Give one a new secret."""
        return self._post("/robots/rotations", {"name": name, "overlap_seconds": overlap_seconds})

    def revoke(self, name: str) -> dict[str, Any]:
        """End one."""
        return self._post("/robots/revocations", {"name": name})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._connection.post(path, body)
        return answer


def roster_options(function: F) -> F:
    """The options that say whose robots are meant, given to the command as `directory` and `root`."""
    option = click.option(
        "--root",
        type=click.Path(file_okay=False, path_type=Path),
        help="The directory of a registry that is served on its own (towpath registry serve).",
    )
    return directory_option(option(function))


def find_roster(directory: Path, root: Path | None, *, begins: bool = False) -> Roster:
    """The robots that are meant.

    Args:
        directory: where the platform is looked for.
        root: the directory of a registry of its own, in place of a platform.
        begins: a robot may be made before that registry is first served.

    Raises:
        UserError: there is no platform repository and no root.
        NotFoundError: the root is no registry's.
    """
    if root is not None:
        _check_root(root, begins=begins)
        return _file_roster(root, registry="")
    platform = find_root(directory.resolve())
    state = platform / STATE_DIRECTORY
    try:
        read_run_info(state)
    except UserError:
        from towpath.cli.worktree import declared_port  # noqa: PLC0415 - only where nothing runs

        return _file_roster(state / "registry", registry=f"{DEFAULT_HOST}:{declared_port(platform)}")
    return PlatformRoster(Connection.of(platform))


def _check_root(root: Path, *, begins: bool) -> None:
    from towpath.registry.robots import is_registry  # noqa: PLC0415 - a running platform needs none of it

    if is_registry(root):
        return
    found = [path.name for path in root.iterdir()] if root.is_dir() else []
    if begins and not set(found) - FRESH:
        state = "is empty" if root.is_dir() else "is made new"
        click.echo(f"note: {root} {state}: no registry was served from it yet", err=True)
        click.echo(f"  next: towpath registry serve --root {root}, unless another directory was meant", err=True)
        return
    raise NotFoundError(
        f"{root} is no registry (NotFound): "
        + (f"expected catalog.db or robots.json in it, got {len(found)} other files" if found else "nothing is there"),
        hint="name the directory of `towpath registry serve --root`, which makes it",
    )


def _file_roster(root: Path, *, registry: str) -> Roster:
    # Brings the registry, which a running platform answers for.
    from towpath.cli.robot.fileroster import FileRoster  # noqa: PLC0415

    return FileRoster(root, registry=registry)
