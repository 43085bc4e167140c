"""How many bytes a registry may hold: in all, and in all repositories together that a glob matches.

Asked twice: when an upload begins (how much room is there?), so that a transfer that cannot end well is refused early,
before it fills the disk; and in the transaction that would add the bytes, which decides.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from towpath.amounts import format_size
from towpath.oci.errors import ErrorCode
from towpath.registry.errors import RegistryError

# A question to the catalog: a query with its values, and the one number that it answers.
Ask = Callable[[str, tuple[object, ...]], int]
TOTAL = "total"


class QuotaExceededError(RegistryError):
    """The bytes would be more than the owner of the registry allows."""

    def __init__(self, repository: str, *, setting: str, limit: int, used: int, advice: str) -> None:
        shown, allowed = format_size(used), format_size(limit)
        if shown == allowed:  # a few bytes too many
            shown, allowed = f"{used} bytes", f"{limit} bytes"
        numbers = f"{shown} with this push, and the quota {setting} is {allowed}"
        message = f"{repository} cannot take more (QuotaExceeded): {numbers}"
        detail = {"setting": setting, "limit": limit, "used": used, "next": advice}
        super().__init__(ErrorCode.DENIED, message, detail=detail)


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits in bytes.

    Attributes:
        total: for the whole registry; None for none.
        globs: for repositories, matched like those of grants (`*` also matches `/`).
        advice: what makes room; told to who is refused.
    """

    total: int | None = None
    globs: Mapping[str, int] = field(default_factory=dict)
    advice: str = "towpath registry collect"

    def __bool__(self) -> bool:
        return self.total is not None or bool(self.globs)

    def check(self, writer: sqlite3.Connection, repository: str) -> None:
        """In a transaction that has added to a repository. Raises QuotaExceededError."""
        for setting, limit, used in self._measure(_asking(writer), repository):
            if used > limit:
                raise QuotaExceededError(repository, setting=setting, limit=limit, used=used, advice=self.advice)

    def find_room(self, reader: sqlite3.Connection, repository: str) -> "Room | None":
        """How much may be added to a repository at this moment; None without a limit."""
        measured = [
            (limit - used, setting, limit) for setting, limit, used in self._measure(_asking(reader), repository)
        ]
        return Room(repository, *min(measured), self.advice) if measured else None

    def _measure(self, ask: Ask, repository: str) -> list[tuple[str, int, int]]:
        measured = []
        if self.total is not None:
            measured.append((TOTAL, self.total, _used_in_all(ask)))
        matching = [(glob, limit) for glob, limit in self.globs.items() if fnmatchcase(repository, glob)]
        return measured + [(glob, limit, _used_by(ask, glob)) for glob, limit in matching]


@dataclass(frozen=True, slots=True)
class Room:
    """What one upload may send."""

    repository: str
    left: int
    setting: str
    limit: int
    advice: str

    def check(self, sent: int) -> None:
        """Refuse an upload that has grown beyond it. Raises QuotaExceededError."""
        if sent > self.left:
            used = self.limit - self.left + sent
            raise QuotaExceededError(
                self.repository, setting=self.setting, limit=self.limit, used=used, advice=self.advice
            )


def _asking(connection: sqlite3.Connection) -> Ask:
    # SQLite's own GLOB knows `[…]` and `*` as fnmatch does, but for `!`; one matcher for all globs is safer.
    connection.create_function("matches", 2, fnmatchcase, deterministic=True)

    def ask(query: str, values: tuple[object, ...]) -> int:
        (number,) = connection.execute(query, values).fetchone()
        return int(number or 0)

    return ask


def _used_in_all(ask: Ask) -> int:
    return ask("SELECT sum(size) FROM blobs", ()) + ask("SELECT sum(length(content)) FROM manifests", ())


def _used_by(ask: Ask, glob: str) -> int:
    within = "SELECT id FROM repositories WHERE matches(name, ?)"
    blobs = f"SELECT sum(size) FROM blobs WHERE digest IN (SELECT digest FROM links WHERE repository IN ({within}))"  # noqa: S608 - our own text
    manifests = f"SELECT sum(length(content)) FROM manifests WHERE repository IN ({within})"  # noqa: S608 - our own text
    return ask(blobs, (glob,)) + ask(manifests, (glob,))
