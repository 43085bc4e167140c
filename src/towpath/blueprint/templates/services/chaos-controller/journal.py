"""One JSON line for each act, so that the log is the record of what chaos did."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO


class Journal:
    """Writes events. Safe to use from several threads."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()

    def write(self, event: str, **details: Any) -> None:
        """Write one event."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        line = json.dumps({"at": at, "event": event, **details})
        with self._lock:
            print(line, file=self._stream, flush=True)
