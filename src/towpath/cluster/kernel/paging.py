"""Lists, whole or in pages; every page shows the state at the revision of the first.

The later pages of a list are rebuilt from the current objects and the change log: for an object that changed since,
the log has the state before its first change. When the log no longer reaches back, the token has expired.
"""

import base64
import binascii
from dataclasses import dataclass

import orjson

from towpath.cluster.kernel.changes import decode
from towpath.cluster.kernel.selection import Selection
from towpath.cluster.kernel.store import Store
from towpath.kube.errors import BadRequestError, ExpiredError
from towpath.kube.objects import Object, ObjectKey

EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You must start a new list without the continue parameter."
)


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a list. `continue_token` is empty on the last; `remaining` is None when it is not known."""

    items: list[Object]
    resource_version: str
    continue_token: str = ""
    remaining: int | None = None


def read_page(store: Store, kind: ObjectKey, selection: Selection, *, limit: int, continue_token: str) -> ObjectPage:
    """Read a page of the objects of a group and kind; a namespace in `kind` restricts.

    Raises:
        BadRequestError: the token is not one of ours.
        ExpiredError: the token is too old.
    """
    revision, after = (store.revision, None) if not continue_token else _parse_token(continue_token)
    bodies = _bodies_at(store, kind, revision)
    items: list[Object] = []
    for index, (name, body) in enumerate(bodies):
        if after is not None and name <= after:
            continue
        obj = decode(body)
        if not selection.matches(obj):
            continue
        items.append(obj)
        if len(items) == limit and index + 1 < len(bodies):
            remaining = len(bodies) - index - 1 if selection.everything else None
            return ObjectPage(items, str(revision), _format_token(revision, name), remaining)
    return ObjectPage(items, str(revision))


def _bodies_at(store: Store, kind: ObjectKey, revision: int) -> list[tuple[tuple[str, str], bytes]]:
    """Name and body of every object of a kind as they were at a revision, in order of namespace and name."""
    records = store.records(kind)
    if revision == store.revision:
        return [((record.key.namespace, record.key.name), record.body) for record in records]
    if revision < store.log.oldest(kind) or revision > store.revision:
        raise ExpiredError(EXPIRED)
    bodies: dict[tuple[str, str], bytes | None] = {
        (record.key.namespace, record.key.name): record.body for record in records
    }
    # Newest first, so that the oldest change, which knows the state at `revision`, has the last word.
    for change in reversed(store.log.since(revision, kind)):
        bodies[change.key.namespace, change.key.name] = change.previous
    return sorted((name, body) for name, body in bodies.items() if body is not None)


def _format_token(revision: int, name: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([revision, *name])).decode()


def _parse_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        revision, namespace, name = orjson.loads(base64.urlsafe_b64decode(token))
        return int(revision), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadRequestError(f"continue key is not valid: {token[:64]!r}") from error
