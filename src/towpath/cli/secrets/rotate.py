"""`towpath secrets rotate`: replace pull secrets, and wait until the new ones are where they belong."""

import time
from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import connect
from towpath.cli.connection import Connection
from towpath.cli.directory import directory_option
from towpath.cli.duration import Duration
from towpath.errors import RemoteError

POLL_SECONDS = 0.2
WAIT_SECONDS = 120.0


@click.command("rotate")
@click.argument("environment", default="")
@click.option(
    "--wait",
    "wait_seconds",
    type=Duration(),
    default=WAIT_SECONDS,
    help="How long to wait until every namespace has the new one; 0s: not at all.  [default: 2m]",
)
@directory_option
def command(environment: str, wait_seconds: float, directory: Path) -> None:
    """Replace the pull secret of ENVIRONMENT, or of all of them.

    The new secret is written into the namespaces first. The old one opens the registry until they all have it, and a
    quarter of an hour longer for what is under way, so that no pull fails.
    """
    connection = connect(directory)
    names = connection.post("/secrets/rotations", {"environment": environment})["environments"]
    if not names:
        click.echo("no pull secrets: there is no environment yet")
        return
    waiting = set(names)
    deadline = time.monotonic() + wait_seconds
    while waiting and wait_seconds:
        found = _by_environment(connection)
        for name in [name for name in names if name in waiting and found[name]["state"] != "distributing"]:
            waiting.discard(name)
            click.echo(f"{name}: {_describe(found[name])}")
        if waiting and time.monotonic() > deadline:
            raise RemoteError(
                f"pull secrets of {', '.join(sorted(waiting))} have not arrived (Timeout): "
                f"waited {wait_seconds:.0f} s; the old ones stay valid until they have",
                hint="towpath explain says what the environment waits for; towpath secrets list shows how far it is",
            )
        if waiting:
            time.sleep(POLL_SECONDS)
    for name in sorted(waiting):
        click.echo(f"{name}: a new pull secret is on its way; the old one stays valid until it is everywhere")


def _by_environment(connection: Connection) -> dict[str, dict[str, Any]]:
    return {one["environment"]: one for one in connection.get("/secrets")["secrets"]}


def _describe(one: dict[str, Any]) -> str:
    where = ", ".join(one["namespaces"]) or "no namespace, since nothing there pulls with it"
    ends = max((secret["expires"] for secret in one["secrets"] if secret["expires"]), default="")
    until = f"; the old one ends at {ends}" if ends else ""
    return f"the new pull secret is in {where}{until}"
