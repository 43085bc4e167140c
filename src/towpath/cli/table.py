"""A group of commands, each in a module of its own that is imported when the command is called.

So `towpath status` does not pay for the server, and a group costs nothing to list.
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from towpath.aio.loading import uncollected


class CommandTable(click.Group):
    """Commands by name: what each does in a line, and in `package` a module with a `command`."""

    def __init__(
        self,
        *args: Any,
        package: str,
        table: Mapping[str, str],
        hidden_commands: frozenset[str] = frozenset(),
        **kw: Any,
    ) -> None:
        """`table` is in the order of the help text, which leaves out `hidden_commands`."""
        super().__init__(*args, **kw)
        self._package = package
        self._table = table
        self._hidden = hidden_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the table's order."""
        del ctx
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in self._table:
            return None
        name = f"{self._package}.{cmd_name.replace('-', '_')}"
        if name not in sys.modules:
            with uncollected():
                importlib.import_module(name)
        command: click.Command = sys.modules[name].command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help text, without importing a single command."""
        del ctx
        listed = [(name, text) for name, text in self._table.items() if name not in self._hidden]
        if listed:
            with formatter.section("Commands"):
                formatter.write_dl(listed)
