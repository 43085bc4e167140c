"""Writes docs/commands.md from the command line's own help. `tests/docs` holds the file against it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from towpath.cli.commands import towpath

TARGET = Path(__file__).parent.parent / "docs" / "commands.md"
WIDTH = 110

HEAD = """\
# Commands and exit codes

Written by `make docs` from `towpath COMMAND --help`; do not edit.

Every command that shows something prints JSON with `-o json`. Shell completion: `eval "$(towpath completion bash)"`
(or zsh, fish).

A repository elsewhere is followed with `towpath up --remote`: [credentials and webhooks](remote.md).

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a bug in Towpath, or an unexpected failure |
| 2 | wrong input or configuration |
| 3 | refused: by the gate, a guard, or a check such as `status --exit-code` |
| 4 | not found |
| 5 | conflict: another writer was first, or something runs already |
| 6 | a peer failed, is down or too slow |
| 7 | stored or received bytes are not what they claim to be |
| 130 | interrupted: 128 and the number of the signal |
"""


def document() -> str:
    """The whole text."""
    root = click.Context(
        towpath, info_name="towpath", terminal_width=WIDTH, max_content_width=WIDTH, **towpath.context_settings
    )
    return "\n".join([HEAD, *_sections(root, towpath)])


def _sections(parent: click.Context, group: click.Group) -> Iterator[str]:
    """One section a command; a group's commands follow it."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
        if isinstance(command, click.Group):
            yield from _sections(context, command)


def main() -> int:
    """Write the file."""
    TARGET.write_text(document())
    print(f"wrote {TARGET.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
