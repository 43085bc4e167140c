"""`towpath registry notifications`: whom the registry tells of pushes, what of, and telling it again.

It works on the outbox in the registry's directory, whether the registry runs or not.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from towpath.aio.clock import format_rfc3339
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table
from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import UserError
from towpath.registry.outbox import Listener, Outbox, StoredEvent

EVENTS = 1000


@click.command("notifications")
@click.option("--after", type=click.IntRange(min=0), help="Show the events behind this sequence number.")
@click.option("--replay", metavar="URL", help="Tell this listener again of everything behind --after.")
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), help="The directory of a registry of its own."
)
@output_option
@directory_option
def command(after: int | None, replay: str | None, root: Path | None, output: str, directory: Path) -> None:
    """Show who is told of pushes and how far each listener is; or the events; or tell a listener again."""
    with _opened(directory, root) as outbox:
        if replay:
            if after is None:
                raise UserError(
                    "--replay needs a place to begin at (Usage)", hint="--after 0 is the oldest that is kept"
                )
            from towpath.registry.notifications import check_url  # noqa: PLC0415 - brings an HTTP client

            check_url(replay)
            outbox.rewind(replay, after=after)
            click.echo(f"{replay} is told again of everything behind {after}")
        elif after is not None:
            _print_events(outbox.events(after=after, limit=EVENTS), output)
        else:
            _print_listeners(outbox.listeners(), output)


@contextmanager
def _opened(directory: Path, root: Path | None) -> Iterator[Outbox]:
    outbox = Outbox(root or find_root(directory.resolve()) / STATE_DIRECTORY / "registry", must_exist=True)
    try:
        yield outbox
    finally:
        outbox.close()


def _print_events(events: list[StoredEvent], output: str) -> None:
    documents: list[dict[str, Any]] = [entry for event in events for entry in json.loads(event.body)["events"]]
    if output == "json":
        print_json({"events": documents})
        return
    print_table(
        ["SEQUENCE", "TIME", "REPOSITORY", "TAG", "DIGEST", "BY"],
        [
            [
                entry["sequence"],
                format_rfc3339(event.at),
                entry["target"]["repository"],
                entry["target"]["tag"],
                entry["target"]["digest"],
                entry["actor"]["name"] or "-",
            ]
            for event, entry in zip(events, documents, strict=True)
        ],
    )


def _print_listeners(listeners: list[Listener], output: str) -> None:
    if output == "json":
        fields = ("url", "taken", "waiting", "failures", "problem")
        print_json({"listeners": [{name: getattr(one, name) for name in fields} for one in listeners]})
        return
    print_table(
        ["LISTENER", "TAKEN", "WAITING", "PROBLEM"],
        [
            [one.url, one.taken, one.waiting, f"{one.problem} ({one.failures} x)" if one.failures else "-"]
            for one in listeners
        ],
    )
