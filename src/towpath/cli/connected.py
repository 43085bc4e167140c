"""The options and the connection that every command of a running platform shares."""

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


def connect(directory: Path) -> Connection:
    """The platform of a directory. Raises UserError when none runs."""
    return Connection.of(directory.resolve())
