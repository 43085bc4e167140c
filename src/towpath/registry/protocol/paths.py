"""Which endpoint a path below `/v2/` is. Repository names hold slashes, so the path is read from its end."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from towpath.registry.protocol import blobs, listing, manifests, uploads
from towpath.registry.protocol.exchange import Exchange

Endpoint = Callable[[Exchange], Awaitable[Response]]

# A name may hold anything until it is checked, line ends too.
_compile = partial(re.compile, flags=re.DOTALL)
_TABLE: tuple[tuple[re.Pattern[str], Mapping[str, Endpoint]], ...] = (
    (
        _compile(r"(?P<name>.+)/manifests/(?P<reference>[^/]+)"),
        {
            "GET": manifests.read_manifest,
            "HEAD": manifests.read_manifest,
            "PUT": manifests.push_manifest,
            "DELETE": manifests.delete_manifest,
        },
    ),
    (_compile(r"(?P<name>.+)/blobs/uploads/?"), {"POST": uploads.start_upload}),
    (
        _compile(r"(?P<name>.+)/blobs/uploads/(?P<session>[^/]+)"),
        {
            "GET": uploads.show_upload,
            "PATCH": uploads.append_chunk,
            "PUT": uploads.finish_upload,
            "DELETE": uploads.cancel_upload,
        },
    ),
    (
        _compile(r"(?P<name>.+)/blobs/(?P<digest>[^/]+)"),
        {"GET": blobs.read_blob, "HEAD": blobs.show_blob, "DELETE": blobs.delete_blob},
    ),
    (_compile(r"(?P<name>.+)/tags/list"), {"GET": listing.list_tags}),
    (_compile(r"(?P<name>.+)/referrers/(?P<digest>[^/]+)"), {"GET": listing.list_referrers}),
    (_compile(r"_catalog"), {"GET": listing.list_repositories}),
    (_compile(r""), {"GET": listing.say_version, "HEAD": listing.say_version}),
)


@dataclass(frozen=True, slots=True)
class Match:
    """What a path means: the endpoints by method, the repository (empty outside of one), the other parts."""

    endpoints: Mapping[str, Endpoint]
    repository: str
    parts: Mapping[str, str]

    @property
    def methods(self) -> list[str]:
        """What may be done: whatever can be read can be asked for without its body (RFC 9110, 9.3.2)."""
        implied = ["HEAD"] if "GET" in self.endpoints and "HEAD" not in self.endpoints else []
        return [*self.endpoints, *implied]

    @property
    def is_upload(self) -> bool:
        """Whether it is about an upload, which is the pusher's whatever the method."""
        return not self.endpoints.keys().isdisjoint({"POST", "PATCH"})


def find_match(path: str) -> Match | None:
    """Read a path without its leading `/v2/`; None when it is no endpoint of a registry."""
    for pattern, endpoints in _TABLE:
        matched = pattern.fullmatch(path)
        if matched:
            parts = matched.groupdict()
            return Match(endpoints, parts.pop("name", ""), parts)
    return None
