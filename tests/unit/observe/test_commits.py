"""Commits are read once, and the oldest are forgotten."""

from towpath.observe.commits import Commits
from towpath.source.commits import Commit


class Reader:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get_commit(self, rev: str) -> Commit:
        self.asked.append(rev)
        return Commit(rev, (), "Ada <ada@example.org>", 1.0, "Start", "", [])


async def test_what_was_used_last_is_kept() -> None:
    reader = Reader()
    commits = Commits(reader, remembered=2)
    for commit in ("a", "b", "a", "c", "a", "b"):
        await commits.get(commit)

    assert reader.asked == ["a", "b", "c", "b"]
    assert "a" in commits
    assert "c" not in commits
