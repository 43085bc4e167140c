"""`towpath robot create`: make a robot account."""

from pathlib import Path

import click

from towpath.cli.duration import Duration
from towpath.cli.robot.issue import check_issue, issue_options, print_issue
from towpath.cli.robot.roster import find_roster, roster_options


@click.command("create")
@click.argument("name")
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    required=True,
    metavar="PREFIX/*",
    help="What it may use; may be repeated. A * also stands for slashes.",
)
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["pull", "push", "delete"]),
    default=["pull"],
    help="What it may do there; push and delete bring pull. May be repeated.  [default: pull]",
)
@click.option("--expires", type=Duration(above_zero=True), help="For how long: 90d, 12h.  [default: until revoked]")
@issue_options
@roster_options
def command(
    name: str,
    repositories: tuple[str, ...],
    allow: tuple[str, ...],
    expires: float | None,
    directory: Path,
    root: Path | None,
    **issue: str | None,
) -> None:
    """Make a robot account, and print its secret, which is shown this once and stored hashed."""
    roster = find_roster(directory, root, begins=True)
    address = check_issue(issue, known=roster.list()["registry"])
    made = roster.create(name, repositories=repositories, allow=allow, lifetime_seconds=expires)
    print_issue(made, output=issue["output"] or "", form=issue["form"], registry=address, namespace=issue["namespace"])
