"""What every command of a running platform shares: the connection, and who acts."""

import getpass
import os
from pathlib import Path

from towpath.cli.connection import Connection


def acting_user() -> str:
    """Who runs the command, for the record; a container's user may have a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def connect(directory: Path) -> Connection:
    """The platform of a directory. Raises UserError when none runs."""
    return Connection.of(directory.resolve())
