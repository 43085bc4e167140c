"""`towpath promote`: move a verified version into an environment."""

import time
from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import acting_user, connect
from towpath.cli.connection import Connection
from towpath.cli.diff import print_objects
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table

REFUSED = 3
POLL_SECONDS = 1.0


@click.command("promote")
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@click.option("--to", "environment", required=True, help="The environment to enter.")
@click.option("--tag", "version", default="", help="The version.  [default: what the environment before runs]")
@click.option("--dry-run", is_flag=True, help="Show the checks and the rendered diff; write nothing.")
@click.option("--wait", "wait_seconds", type=float, default=0.0, help="Wait so many seconds for missing evidence.")
@click.option("--allow-downgrade", is_flag=True, help="Let an older version replace a newer one.")
@directory_option
@output_option
def command(directory: Path, output: str, wait_seconds: float, **options: Any) -> int:
    """Run the gate and, if it passes, move the pins of SERVICE by one commit on the platform repository.

    Exits 3 when the gate refuses or lacks evidence.
    """
    request = {**options, "by": acting_user()}
    document = _ask(connect(directory), request, wait_seconds)
    if output == "json":
        print_json(document)
    else:
        print_outcome(document, dry_run=options["dry_run"])
    return 0 if document["verdict"] == "passed" else REFUSED


def _ask(connection: Connection, request: dict[str, Any], wait_seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + wait_seconds
    while True:
        document: dict[str, Any] = connection.post("/promotions", request)
        if document["verdict"] != "insufficient evidence" or time.monotonic() >= deadline:
            return document
        time.sleep(min(POLL_SECONDS, max(deadline - time.monotonic(), 0.0)))


def print_outcome(document: dict[str, Any], *, dry_run: bool) -> None:
    """Print the verdict of every check, then what was or would be written."""
    rows = [
        [service, check["check"], check["verdict"], check["evidence"]]
        for service, checks in document["gates"].items()
        for check in checks
    ]
    print_table(["SERVICE", "CHECK", "VERDICT", "EVIDENCE"], rows)
    for checks in document["gates"].values():
        for check in checks:
            if check["next"]:
                click.echo(f"next: {check['next']}")
    if dry_run and document["diff"]:
        click.echo()
        print_objects(document["diff"])
    for move in document["moves"]:
        if document["commit"]:
            click.echo(
                f"\npromoted {move['service']} {move['tag']} to {document['environment']} by {document['commit'][:7]}"
            )
    if not document["moves"] and document["verdict"] == "passed":
        click.echo(f"\n{document['environment']} names this version already; nothing to do")
