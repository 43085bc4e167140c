"""`towpath doctor`: is the machine fit, and is the platform well?"""

from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import connect, directory_option
from towpath.cli.output import output_option, print_json, print_table
from towpath.errors import UserError
from towpath.server.doctor import examine_machine

PROBLEM = 3


@click.command("doctor")
@directory_option
@output_option
def command(directory: Path, output: str) -> int:
    """Check what Towpath needs of the machine and, when the platform runs, every part of it. Exits 3 on a problem."""
    checks: list[dict[str, Any]] = [check.document() for check in examine_machine()]
    try:
        checks += connect(directory).get("/doctor")["checks"]
    except UserError as error:
        state = {"check": "platform", "state": "warning", "evidence": error.message, "next": error.hint}
        checks.append(state)
    if output == "json":
        print_json({"checks": checks})
    else:
        print_table(
            ["CHECK", "STATE", "EVIDENCE", "NEXT STEP"],
            [[check["check"], check["state"], check["evidence"], check["next"]] for check in checks],
        )
    return PROBLEM if any(check["state"] == "problem" for check in checks) else 0
