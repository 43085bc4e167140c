"""What a push webhook says, and how ours says it. Pure.

Only what is needed to go and look is read: which repository, which ref, from where to where. Which files changed is
never taken from a payload; git trees are compared instead.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from towpath.errors import UserError
from towpath.source.events import BRANCHES, NO_COMMIT, PushEvent

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]{1,500}")
_NAME = re.compile(r"[^\x00-\x20\x7f]{1,300}")
# Headers that name the event and the delivery, by provider; the first one present counts.
_EVENT_HEADERS = {
    "towpath": ("x-github-event",),
    "github": ("x-github-event",),
    "gitea": ("x-gitea-event",),
    "forgejo": ("x-forgejo-event", "x-gitea-event"),
    "gitlab": ("x-gitlab-event",),
}
_DELIVERY_HEADERS = {
    "towpath": ("x-github-delivery",),
    "github": ("x-github-delivery",),
    "gitea": ("x-gitea-delivery",),
    "forgejo": ("x-forgejo-delivery", "x-gitea-delivery"),
    "gitlab": ("webhook-id", "idempotency-key", "x-gitlab-event-uuid"),
}
_PUSHES = {"push", "Push Hook", "Tag Push Hook"}


class PayloadError(UserError):
    """A webhook's body is not what its provider documents."""


def event_name(provider: str, headers: Mapping[str, str]) -> str:
    """What the provider calls the event; empty when it does not say."""
    return next((headers[name] for name in _EVENT_HEADERS[provider] if name in headers), "")


def delivery_id(provider: str, headers: Mapping[str, str]) -> str:
    """What the provider calls the delivery; empty when it does not say."""
    return next((headers[name] for name in _DELIVERY_HEADERS[provider] if name in headers), "")


def is_push(name: str) -> bool:
    """Whether an event of that name moves a ref."""
    return name in _PUSHES


def parse_push(provider: str, body: bytes, *, received_at: float) -> PushEvent:
    """The event of a verified push webhook.

    Args:
        provider: who sent it.
        body: JSON.
        received_at: wall time in seconds since the epoch.

    Raises:
        PayloadError: the body is not what the provider documents; the text says which field.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"webhook body is not JSON (NotJSON): {str(error)[:80]}") from error
    gitlab = provider == "gitlab"
    name = ("project", "path_with_namespace") if gitlab else ("repository", "full_name")
    pusher = ("user_username",) if gitlab else ("pusher", "name" if provider in {"github", "towpath"} else "username")
    ours = _find(payload, "towpath", "received_at") if provider == "towpath" else None
    return PushEvent(
        repository=_text(payload, *name, form=_NAME),
        ref=_text(payload, "ref", form=_REF),
        before=_text(payload, "before", form=_COMMIT),
        after=_text(payload, "after", form=_COMMIT),
        received_at=float(ours) if isinstance(ours, int | float) else received_at,
        pusher=str(_find(payload, *pusher) or "")[:100],
    )


def prepare_push(event: PushEvent) -> bytes:
    """The body of a push webhook of ours, in GitHub's form."""
    payload = {
        "ref": event.ref,
        "before": event.before,
        "after": event.after,
        "created": event.created,
        "deleted": event.deleted,
        "base_ref": None,
        "repository": {
            "name": event.repository.rpartition("/")[2],
            "full_name": event.repository,
            "pushed_at": int(event.received_at),
        },
        "pusher": {"name": event.pusher},
        "sender": {"login": event.pusher},
        # GitHub's times have whole seconds; the timeline needs the fraction.
        "towpath": {"received_at": event.received_at},
    }
    return json.dumps(payload, separators=(",", ":")).encode()


def _find(payload: Any, *path: str) -> Any:
    for key in path:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload


def _text(payload: Any, *path: str, form: re.Pattern[str]) -> str:
    value = _find(payload, *path)
    if value is None and path[-1] in {"before", "after"} and _find(payload, "ref") is not None:
        return NO_COMMIT  # some versions say null where there is no commit
    if not isinstance(value, str) or not form.fullmatch(value):
        field = ".".join(path)
        expected = {
            _COMMIT: "a full commit id",
            _REF: f"a full ref such as {BRANCHES}main",
            _NAME: "owner/name",
        }[form]
        raise PayloadError(
            f"webhook field {field} is malformed (BadField): got {str(value)[:80]!r}, expected {expected}"
        )
    return value
