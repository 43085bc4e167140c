"""`towpath doctor`: is the machine fit, and is the platform well?"""

from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import STYLES, output_option, print_json, wrapped
from towpath.errors import RemoteError, UserError
from towpath.server.doctor import examine_machine

PROBLEM = 3
# As wide as the state and the name of a finding.
INDENT = 30


@click.command("doctor")
@directory_option
@output_option
def command(directory: Path, output: str) -> int:
    """Check what Towpath needs of the machine and, when the platform runs, every part of it. Exits 3 on a problem."""
    checks: list[dict[str, Any]] = [check.document() for check in examine_machine()]
    try:
        checks += connect(directory).get("/doctor")["checks"]
    except UserError as error:
        checks.append({"check": "platform", "state": "warning", "evidence": error.message, "next": error.hint})
    except RemoteError as error:  # it says that it runs, and does not answer
        checks.append({"check": "platform", "state": "problem", "evidence": error.message, "next": error.hint})
    if output == "json":
        print_json({"checks": checks})
    else:
        for check in checks:
            _print(check)
    return PROBLEM if any(check["state"] == "problem" for check in checks) else 0


def _print(check: dict[str, Any]) -> None:
    """One finding: its state and name, then the evidence and the next step as far as the line goes."""
    state = click.style(format(check["state"], "<8"), fg=STYLES.get(check["state"]))
    head = f"{state} {check['check']:<20} "
    body = wrapped(check["evidence"], indent=INDENT)
    click.echo(head + body.lstrip())
    if check["next"]:
        click.echo(wrapped(f"next: {check['next']}", indent=INDENT))
