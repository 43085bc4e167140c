"""Commits as values, and the form in which `git log` is asked for them. Pure."""

import contextlib
from dataclasses import dataclass

from towpath.errors import IntegrityError

# Git ends a message at its first NUL, so NUL parts fields safely. Trailers are parsed by Git itself: its rules for
# which last paragraph counts as trailers are not ours to repeat.
LOG_FORMAT = "%x00".join(  # noqa: FLY002 - one field a line
    [
        "%H",
        "%P",
        "%an <%ae>",
        "%ct",
        "%s",
        "%b",
        "%(trailers:only=true,unfold=true)",
    ]
)
_FIELDS = 7


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit.

    Attributes:
        id: the full id.
        parents: the full ids of its parents.
        author: `Name <address>`.
        committed_at: wall time in seconds since the epoch.
        subject: the first paragraph of the message, on one line.
        body: the rest of the message, trailers included.
        trailers: key and value of each, in order.
    """

    id: str
    parents: tuple[str, ...]
    author: str
    committed_at: float
    subject: str
    body: str
    trailers: list[tuple[str, str]]

    def trailer(self, key: str) -> str:
        """The last value of a trailer, whatever the key's case; empty when there is none."""
        return next((value for name, value in reversed(self.trailers) if name.lower() == key.lower()), "")


def parse_log(output: bytes) -> list[Commit]:
    """The commits of `git log -z --format=LOG_FORMAT`."""
    fields = output.decode(errors="replace").split("\x00")
    # `-z` ends each record with one more NUL, which leaves an empty field at the very end.
    return [_parse_commit(fields[start : start + _FIELDS]) for start in range(0, len(fields) - 1, _FIELDS)]


def parse_committed_at(content: bytes) -> float:
    """The committer's time in a commit object, in seconds since the epoch. Raises IntegrityError."""
    header = content.partition(b"\n\n")[0]
    for line in header.split(b"\n"):
        if line.startswith(b"committer "):
            with contextlib.suppress(ValueError, IndexError):
                return float(int(line.split()[-2]))
    raise IntegrityError("commit could not be read (Malformed): it does not say when it was made")


def _parse_commit(fields: list[str]) -> Commit:
    commit_id, parents, author, committed_at, subject, body, trailers = fields
    return Commit(
        id=commit_id,
        parents=tuple(parents.split()),
        author=author,
        committed_at=float(committed_at),
        subject=subject,
        body=body.strip("\n"),
        trailers=[_parse_trailer(line) for line in trailers.splitlines() if line],
    )


def _parse_trailer(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()
