"""The options and the connection that every command of a running platform shares."""

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from towpath.cli.connection import Connection

F = TypeVar("F", bound=Callable[..., Any])


def directory_option(function: F) -> F:
    """The option `-C/--directory`, given to the command as `directory`."""
    option = click.option(
        "-C",
        "--directory",
        type=click.Path(file_okay=False, exists=True, path_type=Path),
        default=".",
        help="The platform repository.  [default: here]",
    )
    return option(function)


def acting_user() -> str:
    """Who runs the command, for the record; a container's user may have a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def connect(directory: Path) -> Connection:
    """The platform of a directory. Raises UserError when none runs."""
    return Connection.of(directory.resolve())
