"""`towpath rollback`: restore the last good release of an environment."""

from pathlib import Path

import click

from towpath.cli.connected import acting_user, connect
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json


@click.command("rollback")
@click.argument("environment")
@click.option("--to", default="", help="The commit of a release.  [default: the last good one]")
@click.option("--reason", default="", help="Why; it stands in the commit.")
@click.option("--dry-run", is_flag=True, help="Show what would be restored; write nothing.")
@directory_option
@output_option
def command(environment: str, to: str, reason: str, dry_run: bool, directory: Path, output: str) -> None:
    """Restore the last good release by one commit, and put the present version in quarantine so that it sticks.

    The old images are proven pullable before anything is written. Exits 3 when there is nothing good to go back to.
    """
    request = {"environment": environment, "to": to, "reason": reason, "dry_run": dry_run, "by": acting_user()}
    document = connect(directory).post("/rollbacks", request)
    if output == "json":
        print_json(document)
        return
    for skipped in document["skipped"]:
        click.echo(f"passed over {skipped['commit'][:7]}: {skipped['reason']}")
    verb = "restored" if document["commit"] else "would restore"
    for move in document["moves"]:
        click.echo(f"{verb} {move['service']} {move['tag']} (was {move['previous']}) in {environment}")
    for service, digest in document["quarantined"]:
        click.echo(f"quarantine{'d' if document['commit'] else ''}: {service} {digest[:19]}")
    if document["commit"]:
        click.echo(f"commit: {document['commit'][:7]}")
