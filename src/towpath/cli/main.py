"""The entry point: finds the command, runs it, and turns errors into text and exit codes.

What git asks at each push is answered here (`gitquestion`): the command line with its options takes longer to load than
the answer takes. Exit codes are those of `errors`; 130 after Ctrl-C.
"""

import os
import sys
from typing import Any

from towpath.errors import TowpathError

INTERRUPTED = 130


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(main(sys.argv[1:] if arguments is None else arguments))


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    try:
        if arguments[:1] == ["git-credential"] and _answer_git(arguments):
            return 0
        return _run_command(arguments)
    except TowpathError as error:
        print(f"towpath: {error.diagnostics()}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("towpath: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; Python must not try to flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _answer_git(arguments: list[str]) -> bool:
    """Whether it was git that asked."""
    from towpath.cli.gitquestion import find_question  # noqa: PLC0415 - for this one command

    question = find_question(arguments)
    if question is None:
        return False
    sys.stdout.write(question.answer(sys.stdin.read()))
    sys.stdout.flush()
    return True


def _run_command(arguments: list[str]) -> int:
    import click  # noqa: PLC0415 - see the head

    from towpath.cli.commands import towpath  # noqa: PLC0415 - see the head

    try:
        result: Any = towpath.main(arguments, prog_name="towpath", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return result if isinstance(result, int) else 0
