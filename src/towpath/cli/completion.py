"""`towpath completion`: the script that completes commands in your shell."""

import os

import click
from click.shell_completion import get_completion_class

from towpath.errors import UserError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
@click.pass_context
def command(context: click.Context, shell: str | None) -> None:
    """Print the completion script of SHELL (of the running shell when left out).

    eval "$(towpath completion bash)"
    """
    name = shell or os.path.basename(os.environ.get("SHELL", ""))  # noqa: PTH119 - a name, not a path we open
    completion = get_completion_class(name)
    if completion is None:
        raise UserError(f"shell {name or '(unknown)'} cannot be completed (Unsupported)", hint="name bash, zsh or fish")
    click.echo(completion(context.find_root().command, {}, "towpath", "_TOWPATH_COMPLETE").source())
