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
from towpath.errors import UserError
from towpath.server.runfile import read_run_info

F = TypeVar("F", bound=Callable[..., Any])


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


def find_roster(directory: Path, root: Path | None) -> Roster:
    """The robots that are meant. Raises UserError when there is no platform repository and no root."""
    if root is not None:
        return _file_roster(root, registry="")
    platform = find_root(directory.resolve())
    state = platform / STATE_DIRECTORY
    try:
        read_run_info(state)
    except UserError:
        from towpath.cli.worktree import declared_port  # noqa: PLC0415 - only where nothing runs

        return _file_roster(state / "registry", registry=f"{DEFAULT_HOST}:{declared_port(platform)}")
    return PlatformRoster(Connection.of(platform))


def _file_roster(root: Path, *, registry: str) -> Roster:
    # Brings the registry, which a running platform answers for.
    from towpath.cli.robot.fileroster import FileRoster  # noqa: PLC0415

    return FileRoster(root, registry=registry)
