"""The commands, by name: each is imported when it is called (`table`)."""

import click

from towpath import __version__
from towpath.cli.table import CommandTable

# In the order of a user's day.
COMMANDS = {
    "init": "Write a new platform repository.",
    "up": "Run the platform.",
    "serve": "Run the platform on a Kubernetes, for good, with the least rights.",
    "manifest": "Print what a Kubernetes needs to run the platform.",
    "demo": "Run the whole loop on a scaffolded repository.",
    "build": "Build the images of services, here.",
    "status": "What runs where: version, health, sync.",
    "history": "Releases, promotions and rollbacks; --timeline for the waterfall.",
    "where": "Where a commit runs.",
    "events": "What happened, newest last.",
    "logs": "The output of a service.",
    "diff": "What differs between Git and the runtime.",
    "explain": "Why something is not synced or not healthy.",
    "promote": "Move a verified version into an environment.",
    "rollback": "Restore the last good release of an environment.",
    "hold": "Pause, or resume, automation for an environment.",
    "reconcile": "Compare an environment with Git at once.",
    "registry": "Look after the platform's registry.",
    "robot": "Accounts for machines that use the registry.",
    "secrets": "List and rotate the pull secrets of environments.",
    "mirror": "Copy releases to or from an outside registry.",
    "verify": "Check who built an image from what.",
    "keys": "Make and list the keys that sign images.",
    "doctor": "Check the machine and the platform.",
    "webhook": "Print what to enter in a forge's webhook settings.",
    "kubeconfig": "Print the file that kubectl needs.",
    "completion": "Print the completion script of your shell.",
    "git-credential": "Answer git's question for credentials (for git, not for people).",
}


@click.group(
    cls=CommandTable,
    package="towpath.cli",
    table=COMMANDS,
    hidden_commands=frozenset({"git-credential"}),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="towpath", message="%(prog)s %(version)s")
def towpath() -> None:
    """A GitOps platform in one process: build, promote, reconcile, observe, recover.

    Exit codes: 0 done, 1 a bug or an unexpected failure, 2 wrong input, 3 refused by the gate or a check, 4 not found,
    5 conflict, 6 a peer failed or is unreachable, 7 corrupt data, 130 interrupted (128 and the number of a signal).
    """
