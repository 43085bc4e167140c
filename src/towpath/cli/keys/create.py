"""`towpath keys create`: make the key pair that signs images."""

import os
from pathlib import Path

import click

from towpath.attest.keyfiles import KEYS_DIRECTORY, read_password, write_pair
from towpath.attest.keys import KeyKind, generate_key
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json
from towpath.config import STATE_DIRECTORY, find_root


@click.command("create")
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in KeyKind]),
    default=str(KeyKind.P256),
    show_default=True,
    help="The kind of the key.",
)
@click.option("--to", "target", type=click.Path(file_okay=False, path_type=Path), help="Write it here instead.")
@click.option("--name", default="attest", show_default=True, help="The files' name, before .key and .pub.")
@directory_option
@output_option
def command(kind: str, target: Path | None, name: str, directory: Path, output: str) -> None:
    """Make a key pair; a platform in this directory signs every image with it from the next push on.

    The private key is readable by its owner alone, and encrypted when TOWPATH_KEY_PASSWORD is set or
    TOWPATH_KEY_PASSWORD_FILE names a file. An existing key is never overwritten.
    """
    if not name.isidentifier() and not name.replace("-", "").replace(".", "").isalnum():
        raise click.BadParameter("expected letters, digits, hyphens and dots", param_hint="--name")
    keys = target or find_root(directory.resolve()) / STATE_DIRECTORY / KEYS_DIRECTORY
    password = read_password(os.environ)
    key = generate_key(KeyKind(kind))
    pair = write_pair(keys, key, name=name, password=password)
    if output == "json":
        print_json(
            {
                "key": key.key_id,
                "kind": kind,
                "private": str(pair.private),
                "public": str(pair.public),
                "encrypted": password is not None,
            }
        )
        return
    click.echo(f"key {key.key_id[:12]} ({kind}{', encrypted' if password else ''})")
    click.echo(f"private: {pair.private}  keep it, and keep a copy elsewhere")
    click.echo(f"public:  {pair.public}  give it to whoever verifies")
