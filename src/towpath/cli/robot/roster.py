"""The robots that a command works on: those of the running platform, or those in the files of a registry.

Without a running platform the files are changed; a registry that is served from them sees it at its next request.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from towpath.cli.connection import Connection
from towpath.cli.directory import directory_option
from towpath.cli.worktree import declared_port
from towpath.config import DEFAULT_HOST, STATE_DIRECTORY, find_root
from towpath.errors import UserError
from towpath.registry.robot_documents import made_document, parse_grants, robot_document
from towpath.registry.robots import RobotFile
from towpath.server.runfile import read_run_info

F = TypeVar("F", bound=Callable[..., Any])


class Roster(Protocol):
    """What can be done with robots; the documents are those of the platform's API."""

    def list(self) -> dict[str, Any]:
        """All robots."""
        ...

    def create(
        self, name: str, *, repositories: Sequence[str], allow: Sequence[str], lifetime_seconds: float
    ) -> dict[str, Any]:
        """Make one. Raises UserError, ConflictError."""
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
        self, name: str, *, repositories: Sequence[str], allow: Sequence[str], lifetime_seconds: float
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


class FileRoster:
    """In the files of a registry directory."""

    def __init__(self, root: Path, *, registry: str) -> None:
        self._robots = RobotFile(root)
        self._registry = registry

    def list(self) -> dict[str, Any]:
        """All robots; when they were last used, only a running platform knows."""
        documents = [robot_document(robot, now=time.time()) for robot in self._robots.list()]
        return {"registry": self._registry, "robots": documents}

    def create(
        self, name: str, *, repositories: Sequence[str], allow: Sequence[str], lifetime_seconds: float
    ) -> dict[str, Any]:
        """Make one."""
        now = time.time()
        made = self._robots.create(
            name,
            parse_grants([*repositories], [*allow]),
            now=now,
            expires_at=now + lifetime_seconds if lifetime_seconds else None,
        )
        return made_document(made, registry=self._registry, now=now)

    def rotate(self, name: str, *, overlap_seconds: float) -> dict[str, Any]:
        """Give one a new secret."""
        made = self._robots.rotate(name, now=time.time(), overlap_seconds=overlap_seconds)
        return made_document(made, registry=self._registry, now=time.time())

    def revoke(self, name: str) -> dict[str, Any]:
        """End one."""
        return {"name": self._robots.revoke(name).name}


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
        return FileRoster(root, registry="")
    platform = find_root(directory.resolve())
    state = platform / STATE_DIRECTORY
    try:
        read_run_info(state)
    except UserError:
        return FileRoster(state / "registry", registry=f"{DEFAULT_HOST}:{declared_port(platform)}")
    return PlatformRoster(Connection.of(platform))
