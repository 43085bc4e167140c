"""What the API server would make of each desired object: dry-run applies, all of them, before anything is written.

Every refusal is collected, not only the first. An object found unchanged is not asked about again until it, or what is
desired of it, changes, so that a reconciliation with nothing to do reads only.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from towpath.kube.errors import ApiError, ApiNotFoundError
from towpath.kube.objects import GVK, Object, ObjectKey, annotations_of, gvk_of, key_of, resource_version_of, uid_of
from towpath.kube.requests import WriteOptions
from towpath.reconcile.marks import APPLIED_ANNOTATION, FIELD_MANAGER
from towpath.reconcile.ports import ResourceClient, ResourceReader
from towpath.reconcile.refusals import Refusal, explain_refusal

# A real API server takes dozens of requests at a time from one client without throttling.
PARALLEL_REQUESTS = 16


@dataclass(frozen=True, slots=True)
class Previews:
    """What the server said: the objects as they would be stored, and its refusals."""

    objects: dict[ObjectKey, Object] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()


async def read_live(reader: ResourceReader, wanted: Mapping[ObjectKey, GVK]) -> dict[ObjectKey, Object]:
    """Those of the wanted objects that exist. Raises ApiError other than NotFound."""
    gate = asyncio.Semaphore(PARALLEL_REQUESTS)

    async def read(key: ObjectKey, gvk: GVK) -> Object | None:
        async with gate:
            try:
                return await reader.get(gvk, key.name, key.namespace)
            except ApiNotFoundError:
                return None

    found = await asyncio.gather(*(read(key, gvk) for key, gvk in wanted.items()))
    return {key: obj for key, obj in zip(wanted, found, strict=True) if obj is not None}


class Previewer:
    """Asks for previews; remembers what is unchanged."""

    def __init__(self, client: ResourceClient) -> None:
        self._client = client
        self._unchanged: dict[ObjectKey, tuple[str, str, str]] = {}

    async def preview(self, desired: Sequence[Object], live: Mapping[ObjectKey, Object]) -> Previews:
        """A dry-run apply of each desired object (marked)."""
        gate = asyncio.Semaphore(PARALLEL_REQUESTS)

        async def ask(obj: Object) -> Object | Refusal:
            key = key_of(obj)
            existing = live.get(key)
            if existing is not None and self._unchanged.get(key) == _state(obj, existing):
                return existing
            async with gate:
                try:
                    return await self._client.apply(
                        obj, WriteOptions(field_manager=FIELD_MANAGER, dry_run=True, force=True)
                    )
                except ApiError as error:
                    return explain_refusal(key, error)

        answers = await asyncio.gather(*(ask(obj) for obj in desired))
        pairs = list(zip(desired, answers, strict=True))
        return Previews(
            {key_of(obj): answer for obj, answer in pairs if isinstance(answer, dict)},
            tuple(answer for answer in answers if isinstance(answer, Refusal)),
        )

    def remember(self, desired: Object, live: Object) -> None:
        """Applying `desired` to `live` changes nothing, for as long as both stay as they are."""
        self._unchanged[key_of(desired)] = _state(desired, live)

    def forget_all_but(self, keys: Iterable[ObjectKey]) -> None:
        """Drop what is remembered of other objects."""
        kept = set(keys)
        self._unchanged = {key: state for key, state in self._unchanged.items() if key in kept}


def versions_of(objects: Iterable[Object]) -> dict[ObjectKey, GVK]:
    """Each object's key with the version to address it by."""
    return {key_of(obj): gvk_of(obj) for obj in objects}


def _state(desired: Object, live: Object) -> tuple[str, str, str]:
    return annotations_of(desired).get(APPLIED_ANNOTATION, ""), uid_of(live), resource_version_of(live)
