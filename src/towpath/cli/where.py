"""`towpath where`: where a commit runs."""

from pathlib import Path
from urllib.parse import quote

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import format_age, output_option, print_json, print_table


@click.command("where")
@click.argument("revision")
@directory_option
@output_option
def command(revision: str, directory: Path, output: str) -> None:
    """Show what became of a commit: which images it built or shares, and which environments run or name them.

    REVISION is a commit, a branch, or a tag such as sha-1234567.
    """
    document = connect(directory).get(f"/where/{quote(revision)}")
    if output == "json":
        print_json(document)
        return
    click.echo(f"{document['commit'][:7]} {document['subject']}\n")
    rows = [
        [
            service["service"],
            service["tag"],
            service["digest"][:19],
            place["environment"],
            place["state"],
            format_age(place["age_seconds"]),
        ]
        for service in document["services"]
        for place in service["environments"] or [{"environment": "-", "state": service["state"], "age_seconds": None}]
    ]
    print_table(["SERVICE", "VERSION", "DIGEST", "ENVIRONMENT", "STATE", "SINCE"], rows)
