"""`python -m towpath` is `towpath`."""

from towpath.cli.main import run

run()
