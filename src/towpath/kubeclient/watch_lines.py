"""The decoder of a watch: pieces of a byte stream in, events out. Pure; it may be fed in pieces of any size.

One JSON document a line. The resource version to resume from is kept up to date, by bookmarks too; bookmarks
themselves are not handed out. An ERROR event is raised as the error it carries.
"""

from collections.abc import Iterator

import orjson

from towpath.kube.errors import ServiceUnavailableError
from towpath.kube.objects import resource_version_of
from towpath.kube.requests import EventType, WatchEvent
from towpath.kubeclient.response import error_of_status

# 16 MiB: etcd refuses objects over 1.5 MiB, so a longer line is not a watch.
LONGEST_LINE_BYTES = 16 * 1024 * 1024


class WatchDecoder:
    """Decodes one stream; `resource_version` is where the next one begins."""

    def __init__(self, resource_version: str) -> None:
        self.resource_version = resource_version
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[WatchEvent]:
        """The events that this piece completes.

        Raises:
            ExpiredError: the version is too old.
            ApiError: another ERROR event, or bytes that are no watch.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n") if b"\n" in piece else ((self._rest + piece),)
        if len(self._rest) > LONGEST_LINE_BYTES:
            raise ServiceUnavailableError(f"the watch sent a line of more than {LONGEST_LINE_BYTES} bytes")
        for line in lines:
            if not line.strip():
                continue
            event = self._decode(line)
            if event is not None:
                yield event

    def _decode(self, line: bytes) -> WatchEvent | None:
        try:
            document = orjson.loads(line)
            type_, obj = EventType(document["type"]), document["object"]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ServiceUnavailableError(f"the watch sent a line that is no event: {line[:80]!r}") from error
        if type_ is EventType.ERROR:
            raise error_of_status(obj)
        # Moved before the event is handed out: whoever closes the stream there has seen this event.
        self.resource_version = resource_version_of(obj) or self.resource_version
        return None if type_ is EventType.BOOKMARK else WatchEvent(type_, obj)
