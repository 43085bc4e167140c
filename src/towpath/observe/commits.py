"""What commits say, by full id, read once each: a commit never changes, and every view asks for the same few."""

from collections import OrderedDict
from typing import Protocol

from towpath.source.commits import Commit

# Some hundred bytes each: what all environments run and what a page of history shows.
REMEMBERED = 512


class CommitReader(Protocol):
    """The platform repository, as far as it is needed here."""

    async def get_commit(self, rev: str) -> Commit:
        """The commit a revision names. Raises NotFoundError."""
        ...


class Commits:
    """The commits of one repository."""

    def __init__(self, repository: CommitReader, *, remembered: int = REMEMBERED) -> None:
        self._repository = repository
        self._remembered = remembered
        self._known: OrderedDict[str, Commit] = OrderedDict()

    def __contains__(self, commit: str) -> bool:
        """Whether a commit was read before; only full ids are known."""
        return commit in self._known

    async def get(self, commit: str) -> Commit:
        """A commit by its full id. Raises NotFoundError."""
        if commit not in self._known:
            self._known[commit] = await self._repository.get_commit(commit)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
        self._known.move_to_end(commit)
        return self._known[commit]
