"""One change of one object, as the store commits it and as watchers see it.

A change carries the final JSON bytes; parsed forms are made once, on demand, and shared read-only by every watcher
that must look into them. Whoever hands an object out of the kernel parses its own copy of the bytes.
"""

from functools import cached_property
from typing import cast

import orjson

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object, ObjectKey
from towpath.kube.requests import EventType


def encode(obj: Object) -> bytes:
    """An object as its final JSON bytes.

    Raises:
        BadRequestError: JSON cannot say it: an integer of more than 64 bits, half a surrogate pair.
    """
    try:
        return orjson.dumps(obj)
    except orjson.JSONEncodeError as error:
        raise BadRequestError(f"object cannot be encoded as JSON (BadValue): {error}") from error


def decode(body: bytes) -> Object:
    """The inverse of `encode`."""
    return cast("Object", orjson.loads(body))


class Change:
    """What happened to `key` at `revision`; `previous` is the body it replaced, None for a new object."""

    def __init__(
        self,
        event: EventType,
        key: ObjectKey,
        *,
        revision: int,
        body: bytes,
        previous: bytes | None,
    ) -> None:
        self.type = event
        self.key = key
        self.revision = revision
        self.body = body
        self.previous = previous

    @cached_property
    def object(self) -> Object:
        """The new state (for a deletion: the last), shared: never mutate it."""
        return decode(self.body)

    @cached_property
    def previous_object(self) -> Object | None:
        """The state before, shared: never mutate it."""
        return None if self.previous is None else decode(self.previous)
