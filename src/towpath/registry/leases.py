"""What pushes in flight count on: a client that was told that a blob is here will name it in a manifest soon.

Whoever asks for a blob or a manifest touches it, and the collector leaves alone what was touched since its plan, or
within the grace period. Both sides see each other without a lock: a client's request touches first and looks second;
the collector condemns first and looks at the touches second. So either the collector sees the touch and spares, or the
request sees the sentence and answers "not here", upon which the client sends the blob: never a "yes" that is not kept.

Touches are in memory only. After a restart the time of the start counts as a touch of everything (`Facts.started_at`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from towpath.aio.clock import Clock

# Repository and digest.
Item = tuple[str, str]
# Some 6 MB at most; beyond it the oldest half is forgotten, and blobs fall back on the time when they were linked.
REMEMBERED = 20_000


class Leases:
    """The leases of one registry."""

    def __init__(self, *, clock: Clock, remembered: int = REMEMBERED) -> None:
        self._clock = clock
        self._remembered = remembered
        self._touched: dict[Item, float] = {}
        self._condemned: frozenset[Item] = frozenset()

    def touch(self, repository: str, digest: str) -> bool:
        """Note that somebody asked for it; False when it is about to be removed, and must be said not to be here."""
        item = (repository, digest)
        # Taken out first, so that the dictionary stays in the order of the touches.
        self._touched.pop(item, None)
        self._touched[item] = self._clock.now()
        if len(self._touched) > self._remembered:
            for oldest in list(self._touched)[: self._remembered // 2]:
                self._touched.pop(oldest, None)
        return item not in self._condemned

    def find_touch(self, repository: str, digest: str) -> float | None:
        """When it was last asked for, if that is remembered."""
        return self._touched.get((repository, digest))

    def touches(self) -> dict[Item, float]:
        """All that is remembered, as it is at this moment."""
        return self._touched.copy()

    @contextmanager
    def condemned(self, items: Iterable[Item]) -> Iterator[None]:
        """While the block removes these, nobody is told that they are here. One block at a time."""
        self._condemned = frozenset(items)
        try:
            yield
        finally:
            self._condemned = frozenset()
