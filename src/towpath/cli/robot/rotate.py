"""`towpath robot rotate`: give a robot a new secret."""

from pathlib import Path

import click

from towpath.cli.duration import Duration
from towpath.cli.robot.issue import check_issue, issue_options, print_issue
from towpath.cli.robot.roster import find_roster, roster_options


@click.command("rotate")
@click.argument("name")
@click.option(
    "--overlap",
    type=Duration(),
    default=0.0,
    help="For how long the old secret opens the registry still: 1h.  [default: not at all]",
)
@issue_options
@roster_options
def command(name: str, overlap: float, directory: Path, root: Path | None, **issue: str | None) -> None:
    """Give a robot a new secret, and print it, which is done this once."""
    roster = find_roster(directory, root)
    address = check_issue(issue, known=roster.list()["registry"])
    made = roster.rotate(name, overlap_seconds=overlap)
    print_issue(made, output=issue["output"] or "", form=issue["form"], registry=address, namespace=issue["namespace"])
