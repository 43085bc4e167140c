"""What a controller wrote and its caches have not shown yet.

A controller decides from caches that lag behind its own writes. Deciding again before they caught up would create a
pod twice or delete one too many; so a key with unmet expectations is left alone until the watch delivers them. Each
expectation is a question to the cache, not a count of events: nothing can be counted twice or lost on a fresh list.
"""

from collections.abc import Callable
from dataclasses import dataclass

from towpath.aio.clock import Clock
from towpath.cluster.controllers.informer import Informer, NamespacedName, namespaced_name, version_number
from towpath.kube.objects import Object, metadata_of, uid_of

# 300: as upstream; a watch that is this late has broken its contract, and deciding late beats deciding never.
EXPIRY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Expectation:
    is_met: Callable[[], bool]
    expires: float


class Expectations:
    """The unmet expectations of one controller, by the key it works on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[NamespacedName, list[_Expectation]] = {}

    def expect_written(self, key: NamespacedName, cache: Informer, stored: Object) -> None:
        """Wait until `cache` has seen the version that a create or update returned."""
        version = version_number(stored)
        self._expect(key, lambda: cache.seen >= version)

    def expect_deleted(self, key: NamespacedName, cache: Informer, deleted: Object) -> None:
        """Wait until `cache` shows that `deleted` is gone, replaced or terminating."""
        name, uid = namespaced_name(deleted), uid_of(deleted)

        def is_met() -> bool:
            cached = cache.find(name)
            return cached is None or uid_of(cached) != uid or "deletionTimestamp" in metadata_of(cached)

        self._expect(key, is_met)

    def wait_seconds(self, key: NamespacedName) -> float:
        """0 when all expectations of `key` are met, else the time until the last of them expires."""
        now = self._clock.monotonic()
        unmet = [one for one in self._pending.pop(key, []) if one.expires > now and not one.is_met()]
        if not unmet:
            return 0.0
        self._pending[key] = unmet
        return max(one.expires for one in unmet) - now

    def _expect(self, key: NamespacedName, is_met: Callable[[], bool]) -> None:
        if not is_met():
            expires = self._clock.monotonic() + EXPIRY_SECONDS
            self._pending.setdefault(key, []).append(_Expectation(is_met, expires))
