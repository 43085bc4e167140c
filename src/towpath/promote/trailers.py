"""The trailers that make Git the ledger: written on promotion and rollback commits, read back from any clone.

Towpath-Promote: prod                              | the environment; or
Towpath-Rollback: prod
Towpath-Pin: sensor sha-1234567 sha256:… <commit>  | one a service that moved
Towpath-Previous: sensor sha-7654321               | what it moved from
Towpath-Quarantine: sensor sha256:…                | a rollback only: not to be promoted again
Towpath-Gate: passed                               | the verdict, and one line a check that did not pass
Towpath-By: alice                                  | who asked
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

PROMOTE = "Towpath-Promote"
ROLLBACK = "Towpath-Rollback"
PIN = "Towpath-Pin"
PREVIOUS = "Towpath-Previous"
QUARANTINE = "Towpath-Quarantine"
GATE = "Towpath-Gate"
BY = "Towpath-By"


class Act(StrEnum):
    """What a commit of ours did."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Move:
    """One service's pin in a promotion or rollback; `previous` is the tag before, empty if there was none."""

    service: str
    tag: str
    digest: str
    revision: str
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What a promotion or rollback commit says of itself."""

    act: Act
    environment: str
    moves: tuple[Move, ...]
    quarantined: tuple[tuple[str, str], ...] = ()
    gate: str = ""
    by: str = ""
    reason: str = field(default="")


def format_message(record: Record) -> str:
    """The whole commit message: a subject a person reads, the reason, and the trailers."""
    versions = ", ".join(f"{move.service} {move.tag}" for move in record.moves)
    promotes = record.act is Act.PROMOTE
    subject = (
        f"Promote {versions} to {record.environment}" if promotes else f"Roll back {record.environment} to {versions}"
    )
    trailers = [f"{PROMOTE if promotes else ROLLBACK}: {record.environment}"]
    trailers += [f"{PIN}: {move.service} {move.tag} {move.digest} {move.revision}" for move in record.moves]
    trailers += [f"{PREVIOUS}: {move.service} {move.previous}" for move in record.moves if move.previous]
    trailers += [f"{QUARANTINE}: {service} {digest}" for service, digest in record.quarantined]
    trailers += [f"{GATE}: {record.gate}"] if record.gate else []
    trailers += [f"{BY}: {_one_line(record.by)}"] if record.by else []
    # The body comes before the trailers, and may not look like one: git reads the last paragraph only.
    body = [_one_line(record.reason), ""] if record.reason else []
    return "\n".join([subject, "", *body, *trailers]) + "\n"


def find_record(trailers: Iterable[tuple[str, str]]) -> Record | None:
    """What a commit's trailers say; None if it is neither promotion nor rollback."""
    values = list(trailers)
    promoted, rolled_back = _all(values, PROMOTE), _all(values, ROLLBACK)
    if not promoted and not rolled_back:
        return None
    previous: dict[str, str] = {}
    for text in _all(values, PREVIOUS):
        service, tag = _words(text, 2)
        previous[service] = tag
    moves = []
    for text in _all(values, PIN):
        service, tag, digest, revision = _words(text, 4)
        moves.append(Move(service, tag, digest, revision, previous.get(service, "")))
    quarantined = [_words(text, 2) for text in _all(values, QUARANTINE)]
    return Record(
        act=Act.ROLLBACK if rolled_back else Act.PROMOTE,
        environment=(rolled_back or promoted)[0],
        moves=tuple(moves),
        quarantined=tuple((service, digest) for service, digest in quarantined),
        gate=next(iter(_all(values, GATE)), ""),
        by=next(iter(_all(values, BY)), ""),
    )


def _all(trailers: Sequence[tuple[str, str]], key: str) -> list[str]:
    return [value for name, value in trailers if name.lower() == key.lower()]


def _words(text: str, count: int) -> tuple[str, ...]:
    """The first `count` words; a commit edited by hand may have fewer, which reads as empty ones."""
    words = text.split()[:count]
    return tuple(words + [""] * (count - len(words)))


def _one_line(text: str) -> str:
    return " ".join(text.split())
