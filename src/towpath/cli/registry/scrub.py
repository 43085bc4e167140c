"""`towpath registry scrub`: read everything again, and find what is not what its digest says."""

import sys
from pathlib import Path
from typing import Any

import click

from towpath.amounts import format_size
from towpath.cli.output import output_option, print_json, wrapped
from towpath.cli.registry.desk import KeeperDesk, desk_options, find_desk
from towpath.errors import IntegrityError


@click.command("scrub")
@click.option("--last", is_flag=True, help="Show what the last scrub found instead of beginning one.")
@desk_options
@output_option
def command(last: bool, directory: Path, root: Path | None, output: str) -> None:
    """Read every image again and find bit rot: which images and services are affected, and whether they are needed.

    Damaged files are moved aside, so that nobody gets them; where an upstream is set, they are fetched again, and a
    push heals them always. Exits 7 when something stays damaged. The platform does this slowly by itself, once a week.
    """
    desk = find_desk(directory, root)
    document = desk.last_scrub() if last else _run(desk)
    if output == "json":
        print_json(document)
    else:
        _print(document)
    left = [one for one in document["damages"] if not one["repaired_from"]]
    if left:
        raise IntegrityError(
            f"registry is damaged (BitRot): {len(left)} of its contents are not what their digests say",
            hint="push the affected images again"
            + ("" if root else ": `git commit --allow-empty` builds services whose image is lost"),
        )


def _run(desk: KeeperDesk) -> dict[str, Any]:
    shows = sys.stderr.isatty()

    def show(document: dict[str, Any]) -> None:
        if shows:
            done, total = document["checked_bytes"], document["total_bytes"]
            click.echo(f"\r{format_size(done)} of {format_size(total)}  ", nl=False, err=True)

    document = desk.scrub(show)
    if shows:
        click.echo("\r" + " " * 40 + "\r", nl=False, err=True)
    return document


def _print(document: dict[str, Any]) -> None:
    for damage in document["damages"]:
        _print_damage(damage)
    if "checked" not in document:
        click.echo("no scrub yet")
    elif document["running"]:
        click.echo(f"going on: {format_size(document['checked_bytes'])} of {format_size(document['total_bytes'])}")
    else:
        read = f"{document['checked']} blobs, {format_size(document['checked_bytes'])}"
        click.echo(f"read {read}; {len(document['damages'])} damaged")


def _print_damage(damage: dict[str, Any]) -> None:
    state = f"repaired from the upstream of {damage['repaired_from']}" if damage["repaired_from"] else "damaged"
    click.echo(wrapped(f"{state}: {damage['problem']}", indent=0))
    for one in damage["affected"]:
        tags = ",".join(one["tags"]) or one["digest"]
        click.echo(f"  affects {one['repository']}:{tags}")
        for reason in one["needed"]:
            click.echo(wrapped(f"needed: {reason}", indent=4))
