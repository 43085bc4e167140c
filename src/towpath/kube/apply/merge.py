"""The union of a live value and an applied one, the applied one winning.

Nothing is removed here (that is `remove`, after ownership is known). Keyed lists keep the live order of what the
configuration leaves alone and take the configuration's order for what it names. Results may share structure with the
arguments: treat them as read-only.
"""

from typing import Any

from towpath.kube.typed import ABSENT, ANYTHING, ListType, MapType, Shape, Type


def merge(kind: Type, live: Any, config: Any) -> Any:
    """Merge two values of a type; ABSENT only if both are. Raises TypedError if a list item cannot be named."""
    if config is ABSENT or live is config:
        return live
    if live is ABSENT:
        return config
    shape = kind.shape_of(config)
    if shape is Shape.MAP and kind.map is not None:
        one, other = live if isinstance(live, dict) else {}, config if isinstance(config, dict) else {}
        if not kind.map.atomic and (one or other):
            return _merge_maps(kind.map, one, other)
    elif shape is Shape.LIST and kind.list is not None:
        left, right = live if isinstance(live, list) else [], config if isinstance(config, list) else []
        if not kind.list.atomic and (left or right):
            return _ListMerge(kind.list, left, right).run()
    return config


def _merge_maps(kind: MapType, live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    out = dict(live)
    for key, item in config.items():
        present = live.get(key, ABSENT)
        out[key] = item if present is ABSENT else merge(kind.find_type(key) or ANYTHING, present, item)
    return out


class _ListMerge:
    """Merge two lists by element, in upstream's order (structured-merge-diff 4.2 and later).

    Both lists are walked at once. An item of the live list that the configuration lacks is taken where it stands; a
    shared item waits until the configuration's order reaches it; new items come where the configuration has them.
    """

    def __init__(self, kind: ListType, live: list[Any], config: list[Any]) -> None:
        self._kind = kind
        self._live = live
        self._lefts = [kind.path_element(item) for item in live]
        self._rights = [kind.path_element(item) for item in config]
        self._by_left: dict[str, Any] = {}
        for element, item in zip(self._lefts, live, strict=True):
            self._by_left[element] = ABSENT if element in self._by_left else item  # duplicates cannot be merged with
        self._by_right = dict(zip(self._rights, config, strict=True))
        self._shared = [element for element in self._rights if element in self._by_left]
        self._turn = 0  # index of the shared item whose place is next
        self._done: set[str] = set()
        self._out: list[Any] = []

    def run(self) -> list[Any]:
        left = right = 0
        while left < len(self._lefts) or right < len(self._rights):
            if left < len(self._lefts):
                waiting = self._lefts[left]
                if waiting not in self._by_right:
                    self._out.append(self._live[left])
                    left += 1
                    continue
                if right < len(self._rights) and waiting == self._rights[right]:
                    self._take(waiting)
                    left, right = left + 1, right + 1
                    continue
                if self._is_later(waiting, right):
                    left += 1
                    continue
                left += waiting in self._done  # a duplicate of what is merged already: dropped
            if right < len(self._rights):
                self._take(self._rights[right])
                right += 1
        return self._out

    def _is_later(self, element: str, right: int) -> bool:
        """Whether a shared item of the live list stands before its turn."""
        return right < len(self._rights) and self._turn < len(self._shared) and self._shared[self._turn] != element

    def _take(self, element: str) -> None:
        """Add an item of the configuration, merged with its live counterpart."""
        self._out.append(merge(self._kind.element, self._by_left.get(element, ABSENT), self._by_right[element]))
        self._done.add(element)
        if self._turn < len(self._shared) and self._shared[self._turn] == element:
            self._turn += 1
