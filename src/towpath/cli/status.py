"""`towpath status`: what runs where."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import format_age, output_option, print_json, print_table

NOT_HEALTHY = 3


@click.command("status")
@click.argument("environment", required=False)
@click.option("--exit-code", is_flag=True, help="Exit 3 unless everything is synced and healthy.")
@directory_option
@output_option
def command(environment: str | None, exit_code: bool, directory: Path, output: str) -> int:
    """Show what runs where: version, commit, age, health and sync of every service in every environment."""
    document = connect(directory).get("/status", environment=environment)
    if output == "json":
        print_json(document)
    else:
        _print(document)
    return NOT_HEALTHY if exit_code and not _all_well(document) else 0


def _all_well(document: dict[str, Any]) -> bool:
    return all(one["sync"] == "Synced" and one["health"] == "Healthy" for one in document["environments"])


def _print(document: dict[str, Any]) -> None:
    rows = [
        _row(environment, service) for environment in document["environments"] for service in environment["services"]
    ]
    print_table(["ENVIRONMENT", "SERVICE", "VERSION", "COMMIT", "AGE", "READY", "HEALTH", "SYNC"], rows)
    if not document["head"]:
        click.echo("nothing was pushed yet")
    for text in _remarks(document):
        click.echo(f"\n{text}")


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    """What stands in the way, each thing once: a broken blueprint stops the build and every environment alike."""
    broken = document["problem"]
    if broken:
        yield f"blueprint: {broken}"
    for environment in document["environments"]:
        name, message = environment["name"], environment["message"]
        if message and not (broken and broken.startswith(message)):
            yield f"{name}: {message}" + (f"\n  next: {environment['next']}" if environment["next"] else "")
        if environment["hold"]:
            yield f"{name}: on hold: {environment['hold']['reason']}"
    build = document["ci"]["message"]
    if build and build != broken:
        yield f"build: {build}"


def _row(environment: dict[str, Any], service: dict[str, Any]) -> list[object]:
    version = f"{service['channel']} ({service['tag']})" if service["channel"] else service["tag"]
    return [
        environment["name"],
        service["service"],
        version or "not promoted",
        f"{service['commit'][:7]} {service['subject'][:40]}" if service["commit"] else "-",
        format_age(service["age_seconds"]),
        f"{service['ready']}/{service['desired']}",
        service["health"],
        environment["sync"],
    ]
