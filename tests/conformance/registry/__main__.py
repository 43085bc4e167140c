"""`python -m conformance.registry --url http://127.0.0.1:5000`: examine a registry and say what was found.

The password of `--user` is read from a file or from the environment: what stands in a command line everybody can see.
Ends with 0 when nothing failed, with 1 when something did.
"""

import argparse
import json
import os
import secrets
import sys
from pathlib import Path

from conformance.registry.facets import Version
from conformance.registry.report import format_summary
from conformance.registry.results import Outcome
from conformance.registry.suite import run_suite
from conformance.registry.wire import Target

PASSWORD = "REGISTRY_PASSWORD"


def main(argv: list[str]) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m conformance.registry", description=__doc__)
    parser.add_argument("--url", required=True, help="the registry, e.g. http://127.0.0.1:5000")
    parser.add_argument("--user", default="", help="who asks; nobody unless given")
    parser.add_argument("--password-file", type=Path, help=f"what holds the password; else it is in ${PASSWORD}")
    parser.add_argument("--ca", default="", help="a file of certificates to trust")
    parser.add_argument("--version", choices=list(Version), default=Version.V1_1, type=Version)
    parser.add_argument("--repository", default="conformance", help="two repositories below this name are used")
    parser.add_argument("--only", action="append", default=[], help="a data set to restrict the run to; may repeat")
    parser.add_argument("--name", default="", help="what the results call the registry")
    parser.add_argument("--seed", default="", help="contents are made from it; random unless given")
    parser.add_argument("--json", type=Path, help="write all results to this file")
    given = parser.parse_args(argv)
    try:
        password = given.password_file.read_text().strip() if given.password_file else os.environ.get(PASSWORD, "")
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"--password-file {given.password_file} cannot be read: {error}")
    if given.user and not password:
        parser.error(f"--user {given.user} has no password: expected --password-file or ${PASSWORD}")
    results = run_suite(
        Target(given.url, given.user, password, given.ca),
        given.version,
        seed=given.seed or secrets.token_hex(8),
        name=given.name,
        repository=given.repository,
        only=given.only,
    )
    sys.stdout.write(format_summary(results))
    if given.json:
        given.json.write_text(json.dumps(results.to_json(), indent=1) + "\n")
    return 1 if results.problems(Outcome.FAIL, Outcome.ERROR) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
