"""How the registry of a platform meets its clients, as the user's settings say."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from towpath.http.hosts import is_loopback
from towpath.registry.access_log import AccessLog
from towpath.registry.traffic import Observer
from towpath.server.serving import check_serving
from towpath.server.settings import Settings

STANDARD_ERROR = "-"


@dataclass(frozen=True, slots=True)
class Manner:
    """How it meets them.

    Attributes:
        plain_http: which registries our own clients speak to without TLS.
        trust: what our own clients trust; None for the system's authorities.
        external_url: where clients are sent for tokens, when a proxy ends TLS; empty for where they come.
        anonymous: repositories, by glob, that everybody may pull from.
        observers: told of every request, beside the counters.
        notify: whom to tell of pushes, by URL.
        notify_secret_file: what holds the secret that signs; None for one that is made.
    """

    plain_http: Callable[[str], bool] = is_loopback
    trust: ssl.SSLContext | None = None
    external_url: str = ""
    anonymous: Sequence[str] = ()
    observers: Sequence[Observer] = ()
    notify: Sequence[str] = ()
    notify_secret_file: Path | None = None


def choose_manner(
    settings: Settings, *, trust: ssl.SSLContext | None, at_the_end: Callable[[Callable[[], None]], object]
) -> Manner:
    """What the settings say; what was opened for it is closed `at_the_end`. Raises UserError."""
    check_serving(
        anonymous_pull=settings.anonymous_pull,
        upstreams=(*settings.upstreams, *settings.mend_from),
        upstream_logins=settings.upstream_logins,
        notify=settings.notify,
        notify_secret_file=settings.notify_secret_file,
    )
    observers = []
    if settings.access_log:
        access_log = open_access_log(settings.access_log)
        at_the_end(access_log.close)
        observers.append(access_log)
    return Manner(
        plain_http=settings.speaks_plain_http,
        trust=trust,
        external_url=settings.external_url,
        anonymous=settings.anonymous_pull,
        observers=observers,
        notify=settings.notify,
        notify_secret_file=settings.notify_secret_file,
    )


def open_access_log(name: str) -> AccessLog:
    """The access log of that name, `-` for standard error. Raises UserError."""
    return AccessLog(None if name == STANDARD_ERROR else Path(name))
