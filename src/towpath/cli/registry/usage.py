"""`towpath registry usage`: what the repositories hold."""

from pathlib import Path

import click

from towpath.amounts import format_size
from towpath.cli.output import output_option, print_json, print_table
from towpath.cli.registry.desk import desk_options, find_desk

HEADERS = ["REPOSITORY", "TAGS", "MANIFESTS", "BLOBS", "OWN", "SHARED"]


@click.command("usage")
@desk_options
@output_option
def command(directory: Path, root: Path | None, output: str) -> None:
    """Show how much each repository holds: blobs of its own, and blobs that others have too."""
    document = find_desk(directory, root).usage()
    if output == "json":
        print_json(document)
        return
    rows = [
        [
            one["repository"],
            one["tags"],
            one["manifests"],
            one["blobs"],
            format_size(one["own_bytes"]),
            format_size(one["shared_bytes"]),
        ]
        for one in document["repositories"]
    ]
    if rows:
        print_table(HEADERS, rows)
        click.echo()
    click.echo(f"{format_size(document['total_bytes'])} in {document['blobs']} blobs and their manifests")
    for name, limit in document["quota"].items():
        click.echo(f"quota {name}: {format_size(limit)}")
