"""What git asks its credential helper, and the platform's answer, without anything that a command line needs.

git runs `towpath git-credential -C DIR get` at each fetch and push. Whatever else is typed is for the command of that
name, `git_credential`, which says what is wrong with it.
"""

from dataclasses import dataclass
from pathlib import Path

from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import UserError
from towpath.server import credentials
from towpath.server.runfile import read_run_info
from towpath.source.credentials import GitCredential, answer


@dataclass(frozen=True, slots=True)
class Question:
    """What git wants (`get`, `store`, `erase`), and the platform repository that it concerns."""

    operation: str
    directory: Path

    def answer(self, text: str) -> str:
        """Speak git's credential protocol: `get` is answered with the platform's token, the rest with nothing.

        Raises:
            UserError: git's text is malformed.
        """
        return answer(self.operation, text, _find_credential(self.directory))


def find_question(arguments: list[str]) -> Question | None:
    """The question in a command line as git types it; None for any other."""
    match arguments:
        case ["git-credential", operation] if not operation.startswith("-"):
            return Question(operation, Path())
        case ["git-credential", "-C", directory, operation] if not operation.startswith("-"):
            return Question(operation, Path(directory)) if Path(directory).is_dir() else None
    return None


def _find_credential(directory: Path) -> GitCredential | None:
    """The running platform's; None lets git ask the next helper."""
    try:
        state = find_root(directory.resolve()) / STATE_DIRECTORY
        return GitCredential(read_run_info(state).url, credentials.ADMIN, credentials.read(state).admin_token)
    except UserError:
        return None
