"""`towpath keys list`: the keys that are trusted."""

from pathlib import Path

import click

from towpath.attest.keyfiles import KEYS_DIRECTORY, PRIVATE_KEY, PUBLIC_SUFFIX, read_trusted
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table
from towpath.config import STATE_DIRECTORY, find_root


@click.command("list")
@directory_option
@output_option
def command(directory: Path, output: str) -> None:
    """List the public keys whose attestations this platform believes, and which of them it signs with."""
    keys = find_root(directory.resolve()) / STATE_DIRECTORY / KEYS_DIRECTORY
    own = Path(PRIVATE_KEY).stem
    rows = [
        {"name": path.stem, "kind": str(key.kind), "key": key.key_id, "signs": path.stem == own and _has_private(keys)}
        for path in sorted(keys.glob(f"*{PUBLIC_SUFFIX}"))
        for key in read_trusted(path)
    ]
    if output == "json":
        print_json({"directory": str(keys), "keys": rows})
        return
    if not rows:
        click.echo("no key is trusted here, and images go out unsigned; make one: towpath keys create")
        return
    print_table(
        ["NAME", "KIND", "KEY", "SIGNS"],
        [[row["name"], row["kind"], str(row["key"])[:12], "yes" if row["signs"] else "no"] for row in rows],
    )


def _has_private(keys: Path) -> bool:
    return (keys / PRIVATE_KEY).exists()
