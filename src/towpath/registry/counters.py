"""What the registry has done since it started, as numbers under the names of OpenMetrics.

Kept in plain dictionaries, because a metrics library would cost a registry on its own a third of its memory and its
start; `exposition` writes them as text, and a platform shows them among its other metrics. Labels are from bounded
sets: methods, kinds of endpoints, statuses, reasons; never a repository, which a client could make up.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from towpath.registry.holdings import Holdings
from towpath.registry.traffic import Passage

# From a manifest out of the page cache (1 ms) to a layer over a slow line (1 min).
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One number; `suffix` is what the family's name ends with for it, such as `_bucket`."""

    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """All numbers of one name. `kind` is `counter`, `gauge` or `histogram`; a counter's name is without `_total`."""

    name: str
    kind: str
    text: str
    samples: tuple[Sample, ...]


@dataclass(slots=True)
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value


class Counters:
    """`traffic.Observer` that counts."""

    def __init__(self, *, read_holdings: Callable[[], Holdings]) -> None:
        """`read_holdings` is asked whenever somebody reads the numbers."""
        self._read_holdings = read_holdings
        self._requests: dict[tuple[str, str, str], int] = {}
        self._seconds: dict[str, _Histogram] = {}
        self._refusals: dict[str, int] = {}
        self._received = 0
        self._sent = 0
        self._mounts = 0
        self._deduplicated = 0

    def passed(self, passage: Passage) -> None:
        """A request has ended."""
        method = passage.method if passage.method in METHODS else "other"
        key = (method, passage.route, str(passage.status))
        self._requests[key] = self._requests.get(key, 0) + 1
        self._seconds.setdefault(passage.route, _Histogram()).observe(passage.seconds)
        self._received += passage.received
        self._sent += passage.sent
        if passage.is_mount and passage.status == 201:
            self._mounts += 1
        elif passage.route == "blobs" and method == "HEAD" and passage.status == 200:
            self._deduplicated += 1

    def refused(self, reason: str) -> None:
        """A request or a token was refused for its credentials."""
        self._refusals[reason] = self._refusals.get(reason, 0) + 1

    def families(self) -> Iterator[Family]:
        """All numbers as they are."""
        yield Family(
            "towpath_registry_requests",
            "counter",
            "Requests by method, kind of endpoint and status (0: the client went away).",
            tuple(
                Sample("_total", (("method", method), ("route", route), ("status", status)), count)
                for (method, route, status), count in sorted(self._requests.items())
            ),
        )
        yield Family(
            "towpath_registry_request_seconds",
            "histogram",
            "Time from the first to the last byte of a request, by kind of endpoint.",
            tuple(sample for route in sorted(self._seconds) for sample in _samples(route, self._seconds[route])),
        )
        yield Family(
            "towpath_registry_refusals",
            "counter",
            "Requests and tokens refused for their credentials, by reason.",
            tuple(Sample("_total", (("reason", reason),), n) for reason, n in sorted(self._refusals.items())),
        )
        yield _counter("received_bytes", "Bytes of bodies that clients sent.", self._received)
        yield _counter("sent_bytes", "Bytes of bodies that clients were sent.", self._sent)
        yield _counter("mounts", "Blobs that another repository gave instead of the client.", self._mounts)
        yield _counter("dedupe_hits", "Blobs that clients found here and did not send.", self._deduplicated)
        holdings = self._read_holdings()
        yield _gauge("uploads", "Uploads that have begun and not ended.", holdings.uploads)
        yield _gauge("blobs", "Blobs that are stored.", holdings.blobs)
        yield _gauge("blob_bytes", "Bytes of the blobs that are stored.", holdings.blob_bytes)


def _samples(route: str, histogram: _Histogram) -> Iterator[Sample]:
    label = ("route", route)
    for bound, count in zip((*map(repr, BUCKETS), "+Inf"), accumulate(histogram.counts), strict=True):
        yield Sample("_bucket", (label, ("le", bound)), count)
    yield Sample("_count", (label,), sum(histogram.counts))
    yield Sample("_sum", (label,), histogram.total)


def _counter(name: str, text: str, value: int) -> Family:
    return Family(f"towpath_registry_{name}", "counter", text, (Sample("_total", (), value),))


def _gauge(name: str, text: str, value: int) -> Family:
    return Family(f"towpath_registry_{name}", "gauge", text, (Sample("", (), value),))
