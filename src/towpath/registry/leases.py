"""What pushes in flight count on: a client that was told that a blob is here will name it in a manifest soon.

Whoever asks for a blob or a manifest touches it, and the collector leaves alone what was touched since its plan, or
within the grace period. A request touches first and looks second. The collector judges the few things that it is about
to remove in one go, while no touch can come in between; from then until they are gone, who touches them is told that
they are not here, upon which a client sends them: never a "yes" that is not kept. Judging takes a millisecond; the
removal, which waits for the disk, holds nobody up.

Times are monotonic: a machine without a battery-backed clock, whose time jumps soon after its start, leases as any
other. Touches are in memory only. After a restart nothing at all is collected for a while
(`Facts.started_at`, `Policy.settling_seconds`).
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from towpath.aio.clock import Clock

# Repository and digest.
Item = tuple[str, str]
Judge = Callable[[Iterable[Item], float, Callable[[Item], bool]], frozenset[Item]]
# Some 6 MB at most; beyond it the oldest half is forgotten, and blobs fall back on the time when they were linked.
REMEMBERED = 20_000


class Leases:
    """The leases of one registry."""

    def __init__(self, *, clock: Clock, remembered: int = REMEMBERED) -> None:
        self._clock = clock
        self._remembered = remembered
        self._touched: dict[Item, float] = {}
        self._condemned: frozenset[Item] = frozenset()
        self._lock = threading.Lock()
        # Touches up to this moment may be missing; what was removed by a plan of before would be a guess.
        self._forgotten_until = -1.0
        self._began = clock.monotonic()

    def touch(self, repository: str, digest: str) -> bool:
        """Note that somebody asked for it; False when it is about to be removed, and must be said not to be here."""
        item = (repository, digest)
        with self._lock:
            # Taken out first, so that the dictionary stays in the order of the touches.
            self._touched.pop(item, None)
            self._touched[item] = self._clock.monotonic()
            if len(self._touched) > self._remembered:
                for oldest in list(self._touched)[: self._remembered // 2]:
                    self._forgotten_until = self._touched.pop(oldest)
            return item not in self._condemned

    def touches(self) -> dict[Item, float]:
        """When each thing that is remembered was last asked for, as wall time."""
        offset = self._clock.now() - self._clock.monotonic()
        with self._lock:
            return {item: at + offset for item, at in self._touched.items()}

    def complete_since(self) -> float:
        """Since when nothing was forgotten, as wall time."""
        return self._clock.now() - self._clock.monotonic() + max(self._forgotten_until, self._began)

    def moment(self) -> float:
        """This moment, for a judgement later on."""
        return self._clock.monotonic()

    @contextmanager
    def sentences(self) -> Iterator[Judge]:
        """While the block judges and removes; one block at a time.

        The judge is given some things and a `moment`; he condemns those that nobody has asked for since, and that the
        last argument says are not needed. That must be quick.
        """
        try:
            yield self._judge
        finally:
            self._condemned = frozenset()

    def _judge(self, items: Iterable[Item], since: float, is_unneeded: Callable[[Item], bool]) -> frozenset[Item]:
        with self._lock:
            if self._forgotten_until < since:
                untouched = [item for item in items if self._touched.get(item, -1.0) < since]
                self._condemned = frozenset(item for item in untouched if is_unneeded(item))
        return self._condemned
