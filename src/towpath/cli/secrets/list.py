"""`towpath secrets list`: the pull secrets, without what they are."""

from pathlib import Path

import click

from towpath.amounts import format_age
from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table


@click.command("list")
@output_option
@directory_option
def command(output: str, directory: Path) -> None:
    """Show each environment's pull secret: age, account, what it opens, where it is; never the secret."""
    secrets = connect(directory).get("/secrets")["secrets"]
    if output == "json":
        print_json({"secrets": secrets})
        return
    if not secrets:
        click.echo("no pull secrets: there is no environment yet")
        return
    print_table(
        ["ENVIRONMENT", "ACCOUNT", "AGE", "STATE", "LAST USED", "NAMESPACES", "REPOSITORIES"],
        [
            [
                one["environment"],
                one["account"],
                format_age(one["age_seconds"]),
                one["state"],
                one["last_used"] or "-",
                ",".join(one["namespaces"]) or "-",
                ",".join(one["repositories"]) or "-",
            ]
            for one in secrets
        ],
    )
