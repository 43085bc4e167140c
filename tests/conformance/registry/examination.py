"""One run: the connection, the repositories, and the notes of what was found.

`check` turns what happens inside its block into one finding; nothing that a registry answers ends the run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from conformance.registry.expectations import Declined, Failed, expect_digest, expect_location, expect_status
from conformance.registry.facets import Facet, Version, facets_of
from conformance.registry.results import Check, Outcome, Problem, Results
from conformance.registry.wire import Headers, Reply, Wire


@dataclass
class Noted:
    """How a check ended; readable after its block."""

    passed: bool = False


@dataclass
class Examination:
    """What every part of the suite gets."""

    wire: Wire
    version: Version
    results: Results
    repository: str
    other: str
    seed: str
    pushes_that_work: list[Facet] = field(default_factory=list)

    @property
    def draft(self) -> bool:
        """Whether the current draft is asked for: it requires digest headers, and knows more."""
        return self.version is Version.DEV

    @contextmanager
    def check(self, data_set: str, name: str, *facets: Facet) -> Iterator[Noted]:
        """Note how the block ends."""
        noted = Noted()
        outcome, problem = Outcome.PASS, None
        try:
            yield noted
            noted.passed = True
        except Failed as failed:
            outcome, problem = Outcome.FAIL, failed.problem
        except Declined as declined:
            outcome, problem = Outcome.SKIP, declined.problem
        except (httpx.HTTPError, ValueError, KeyError) as error:
            outcome, problem = Outcome.ERROR, Problem(name, f"{type(error).__name__}: {error}", "a readable answer")
        known = facets_of(self.version)
        counted = tuple(facet for facet in facets if facet in known)
        self.results.checks.append(Check(data_set, name, counted, outcome, problem))

    def path(self, rest: str, repository: str = "") -> str:
        """A path in a repository; the first one unless given."""
        return f"/v2/{repository or self.repository}/{rest}"

    def start_upload(self, digest: str, repository: str = "") -> str:
        """Open an upload session; returns where to send to."""
        algorithm = digest.partition(":")[0]
        named = [("digest-algorithm", algorithm)] if self.draft and algorithm != "sha256" else None
        reply = self.wire.send("POST", self.path("blobs/uploads/", repository), parameters=named)
        expect_status(reply, 202)
        return self.wire_location(reply)

    def send_chunk(self, location: str, content: bytes, start: int) -> tuple[Reply, str]:
        """PATCH one chunk that belongs at `start`; returns the answer and where to go on."""
        reply = self.wire.send("PATCH", location, content, headers=chunk_headers(content, start))
        return reply, self.wire_location(reply) if reply.headers.get("location") else location

    def finish_upload(self, location: str, digest: str, content: bytes = b"", start: int | None = None) -> Reply:
        """PUT the end of an upload."""
        headers = {"Content-Type": "application/octet-stream"} if start is None else chunk_headers(content, start)
        return self.wire.send("PUT", location, content, headers=headers, parameters=[("digest", digest)])

    def expect_created(self, reply: Reply, digest: str, size: int) -> None:
        """201 with a location from which the blob can be pulled."""
        expect_status(reply, 201)
        expect_digest(reply, digest, required=False)
        found = self.wire.send("HEAD", self.wire_location(reply))
        expect_status(found, 200)
        if found.headers.get("content-length") != str(size):
            length = found.headers.get("content-length")
            raise Failed(found, f"Content-Length: {length}", f"Content-Length: {size} at the Location of the push")

    def expect_offset(self, reply: Reply, received: int) -> None:
        """`Range` says how many bytes have arrived."""
        found = reply.headers.get("range", "")
        if found != f"0-{received - 1}":
            raise Failed(reply, f"{reply} with Range: {found}", f"Range: 0-{received - 1}")

    @staticmethod
    def wire_location(reply: Reply) -> str:
        """`Location`, resolved against the request it answers."""
        return str(httpx.URL(reply.url).join(expect_location(reply)))


def chunk_headers(content: bytes, start: int) -> Headers:
    """The headers of a chunk; its range is inclusive at both ends."""
    return {
        "Content-Type": "application/octet-stream",
        "Content-Range": f"{start}-{start + len(content) - 1}",
    }
