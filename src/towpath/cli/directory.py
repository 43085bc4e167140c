"""The option that says which platform repository is meant; every command that works on one has it.

Apart from `connected`, because commands that ask no platform (git calls one of them at each push) need no HTTP.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
