"""Whom the commands of the keeper ask: the platform that runs in the directory, or a registry at rest (`--root`)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from towpath.cli.connected import connect
from towpath.cli.connection import Connection
from towpath.cli.directory import directory_option
from towpath.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])
Document = dict[str, Any]
POLL_SECONDS = 0.2
SCRUBS = "/registry/scrubs"
COLLECTIONS = "/registry/collections"


class KeeperDesk(Protocol):
    """What can be asked; the documents are those of the platform's API."""

    def usage(self) -> Document:
        """What each repository holds."""
        ...

    def collect(self, *, apply: bool) -> Document:
        """What nothing needs; removed when that is meant."""
        ...

    def scrub(self, on_progress: Callable[[Document], None]) -> Document:
        """Read everything again, and tell how far it is meanwhile."""
        ...

    def last_scrub(self) -> Document:
        """What the last one found."""
        ...


class PlatformDesk:
    """Through the API of the running platform."""

    def __init__(self, connection: Connection, *, accepts_unseen: bool) -> None:
        self._connection = connection
        self._accepts_unseen = accepts_unseen

    def usage(self) -> Document:
        """What each repository holds."""
        found: Document = self._connection.get("/registry/usage")
        return found

    def collect(self, *, apply: bool) -> Document:
        """What nothing needs; removed when that is meant."""
        if apply:
            done: Document = self._connection.post(COLLECTIONS, {"accept_unseen": self._accepts_unseen})
            return done
        planned: Document = self._connection.get(COLLECTIONS)
        return planned

    def scrub(self, on_progress: Callable[[Document], None]) -> Document:
        """Have it begin, and wait."""
        self._connection.post(SCRUBS, {})
        while (document := self.last_scrub())["running"]:
            on_progress(document)
            time.sleep(POLL_SECONDS)
        return document

    def last_scrub(self) -> Document:
        """What the last one found, or how far it is."""
        found: Document = self._connection.get(SCRUBS)
        return found


def desk_options(function: F) -> F:
    """The options that say whose keeper is meant, given to the command as `directory` and `root`."""
    option = click.option(
        "--root",
        type=click.Path(file_okay=False, path_type=Path),
        help="The directory of a registry of its own that does not run.",
    )
    return directory_option(option(function))


def find_desk(directory: Path, root: Path | None, *, accepts_unseen: bool = False) -> KeeperDesk:
    """The keeper that is meant.

    Raises:
        UserError: no platform runs, or an option is not for this one.
        NotFoundError: the root is no registry's.
    """
    if root is None:
        return PlatformDesk(connect(directory), accepts_unseen=accepts_unseen)
    if accepts_unseen:
        raise UserError(
            "--accept-unseen is about a platform's cluster (Usage): a registry of its own has none", hint="leave it out"
        )
    # Bring the registry, which a running platform answers for.
    from towpath.aio.clock import SystemClock  # noqa: PLC0415
    from towpath.server.resting import RestingKeeper  # noqa: PLC0415

    return RestingKeeper(root, clock=SystemClock())
