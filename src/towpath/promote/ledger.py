"""The promotions and rollbacks of the past, read from the branch's own commits, and the digests in quarantine.

Nothing is stored beside Git: a fresh clone gives the same answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from towpath.promote.repository import PlatformRepository
from towpath.promote.trailers import Act, Record, find_record
from towpath.source.commits import Commit

# How far back the ledger is read; older promotions stay in Git, unread. 2000 commits are years of a small team.
HISTORY_WINDOW = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """One promotion or rollback, and the commit that made it."""

    commit: Commit
    record: Record


async def read_ledger(
    repository: PlatformRepository, branch: str, *, overlays: Sequence[str], limit: int = HISTORY_WINDOW
) -> list[Entry]:
    """The entries of the branch, newest first; empty while it is unborn. Only commits that touch overlays are read."""
    head = await repository.find_commit(f"refs/heads/{branch}")
    if head is None:
        return []
    entries = []
    for commit in await repository.log(head, paths=tuple(overlays), limit=limit):
        record = find_record(commit.trailers)
        if record is not None:
            entries.append(Entry(commit, record))
    return entries


def quarantined(entries: Sequence[Entry]) -> dict[str, str]:
    """The digests put aside by rollbacks, each with the commit that did it."""
    return {
        digest: entry.commit.id
        for entry in reversed(entries)
        if entry.record.act is Act.ROLLBACK
        for _, digest in entry.record.quarantined
        if digest
    }
