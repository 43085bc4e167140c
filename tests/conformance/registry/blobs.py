"""Blobs of one algorithm: every way to push one, to read it in parts, to refuse it, and to delete it."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from conformance.registry.content import digest_of
from conformance.registry.data_sets import BLOBS
from conformance.registry.examination import Examination, Noted
from conformance.registry.expectations import (
    Declined,
    Failed,
    expect_body,
    expect_digest,
    expect_header,
    expect_status,
)
from conformance.registry.facets import Facet
from conformance.registry.pushes import PUSHES, push_blob_as
from conformance.registry.wire import Reply

CHUNK = 1024
RANGED_BYTES = 2048


def examine_blobs(exam: Examination, algorithm: str) -> None:
    """Run all checks of blobs."""
    suite = _Blobs(exam, algorithm)
    suite.absent()
    for facet in PUSHES:
        suite.pushed(facet.value, facet, partial(push_blob_as, exam, facet))
    suite.chunks()
    suite.mounts()
    if exam.draft:
        suite.cancelled()
    suite.ranges()
    for name, content in (("empty blob", b""), ("empty JSON", b"{}")):
        suite.pushed(name, Facet.BLOB_POST_PUT, partial(push_blob_as, exam, Facet.BLOB_POST_PUT), content)
    suite.wrong_digests()


class _Blobs:
    """The checks; each uses contents of its own."""

    def __init__(self, exam: Examination, algorithm: str) -> None:
        self._exam = exam
        self._algorithm = algorithm
        self._title = BLOBS[algorithm]
        self._rng = random.Random(f"{exam.seed}/{self._title}")  # noqa: S311 - contents

    def absent(self) -> None:
        digest, _ = self._content(512)
        for method, facet in (("GET", Facet.BLOB_GET), ("HEAD", Facet.BLOB_HEAD), ("DELETE", Facet.BLOB_DELETE)):
            with self._check(f"{method} of what was never pushed", facet):
                reply = self._exam.wire.send(method, self._exam.path(f"blobs/{digest}"))
                if method == "DELETE" and reply.status in {400, 405}:
                    raise Declined(reply, "blobs can be deleted")
                expect_status(reply, 404)

    def pushed(
        self, name: str, facet: Facet, push: Callable[[str, bytes], object], content: bytes | None = None
    ) -> None:
        """Push by one way; then the blob must be there, and go when it is deleted."""
        if content is None:
            digest, content = self._content(512)
        else:
            digest = digest_of(content, self._algorithm)
        with self._check(f"{name}: push", facet, Facet.BLOB_PUSH) as noted:
            push(digest, content)
        if noted.passed:
            if facet in PUSHES and facet not in self._exam.pushes_that_work:
                self._exam.pushes_that_work.append(facet)
            self._read(name, digest, content)
            self._delete(name, digest)

    def chunks(self) -> None:
        """Several chunks in order, and out of order; the last one by PATCH, and with the PUT."""
        for ending in ("PATCH", "PUT"):
            self.pushed(
                f"three chunks, the last by {ending}",
                Facet.BLOB_CHUNKED,
                partial(self._push_chunks, last=ending),
                self._content(3 * CHUNK - 5)[1],
            )
            self.pushed(
                f"a chunk out of order by {ending}",
                Facet.BLOB_CHUNKED,
                partial(self._push_out_of_order, last=ending),
                self._content(3 * CHUNK - 5)[1],
            )

    def mounts(self) -> None:
        exam = self._exam
        for name, facet, named in (
            ("mount", Facet.BLOB_MOUNT, True),
            ("mount without a source", Facet.BLOB_MOUNT_ANONYMOUS, False),
        ):
            digest, content = self._content(512)
            with self._check(f"{name}: push to the source", Facet.BLOB_PUSH):
                push_blob_as(exam, Facet.BLOB_POST_PUT, digest, content, exam.other)
            with self._check(name, facet) as noted:
                reply = self._mount(digest, exam.other if named else "")
                if reply.status == 202:
                    raise Declined(reply, "status 201: the blob is mounted")
                exam.expect_created(reply, digest, len(content))
            if noted.passed:
                self._read(name, digest, content)
                self._delete(name, digest)
            self._delete(f"{name}, its source", digest, exam.other)
        self.pushed("mount of what is not there", Facet.BLOB_MOUNT, self._push_after_mount)

    def cancelled(self) -> None:
        exam = self._exam
        digest, content = self._content(512)
        with self._check("cancel", Facet.BLOB_CANCEL):
            location = exam.start_upload(digest)
            expect_status(exam.wire.send("DELETE", location, fresh=True), 204)
            expect_status(exam.wire.send("GET", location), 404)
            expect_status(exam.finish_upload(location, digest, content), 404)
            expect_status(exam.wire.send("HEAD", exam.path(f"blobs/{digest}")), 404)

    def ranges(self) -> None:
        exam = self._exam
        digest, content = self._content(RANGED_BYTES)
        with self._check("ranges: push", Facet.BLOB_PUSH):
            push_blob_as(exam, Facet.BLOB_POST_PUT, digest, content)
        wanted: tuple[tuple[str, slice | None], ...] = (
            ("500-1499", slice(500, 1500)),
            ("500-", slice(500, None)),
            ("-500", slice(-500, None)),
            ("2000-5000", slice(2000, None)),
            ("500-0", None),
            ("5000-10000", None),
        )
        for text, part in wanted:
            with self._check(f"range {text}", Facet.BLOB_RANGE):
                reply = exam.wire.send("GET", exam.path(f"blobs/{digest}"), headers={"Range": f"bytes={text}"})
                _expect_range(reply, content, part)
        self._delete("ranges", digest)

    def wrong_digests(self) -> None:
        """Content that is not its digest, by every way; and digests that are none."""
        exam = self._exam
        for facet in PUSHES:
            digest, content = self._content(512)
            with self._check(f"{facet.value}: wrong digest", facet):
                reply = push_blob_as(exam, facet, digest, content + b"!", unchecked=True)
                expect_status(reply, 400)
                expect_status(exam.wire.send("HEAD", exam.path(f"blobs/{digest}")), 404)
        digest, content = self._content(3 * CHUNK)
        with self._check("three chunks: wrong digest", Facet.BLOB_CHUNKED):
            reply = self._send_chunks(digest, content[:-1] + b"!", last="PUT")
            expect_status(reply, 400)
        for name, text in (
            ("short", f"{self._algorithm}:abc"),
            ("of no algorithm", "abc"),
            ("unknown", "md9:" + "0" * 32),
        ):
            with self._check(f"a digest that is none ({name})", Facet.BLOB_POST_PUT):
                location = exam.start_upload(digest)
                expect_status(exam.finish_upload(location, text, content), 400)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _check(self, name: str, *facets: Facet) -> AbstractContextManager[Noted]:
        return self._exam.check(self._title, name, *facets)

    def _content(self, size: int) -> tuple[str, bytes]:
        content = self._rng.randbytes(size)
        return digest_of(content, self._algorithm), content

    def _read(self, name: str, digest: str, content: bytes) -> None:
        exam = self._exam
        for method, facet in (("HEAD", Facet.BLOB_HEAD), ("GET", Facet.BLOB_GET)):
            with self._check(f"{name}: {method}", facet):
                reply = exam.wire.send(method, exam.path(f"blobs/{digest}"))
                expect_status(reply, 200)
                expect_digest(reply, digest, required=exam.draft)
                if method == "GET":
                    expect_body(reply, content)
                else:
                    expect_header(reply, "Content-Length", str(len(content)))

    def _delete(self, name: str, digest: str, repository: str = "") -> None:
        delete_blob(self._exam, self._title, name, digest, repository)

    def _push_chunks(self, digest: str, content: bytes, *, last: str) -> None:
        self._exam.expect_created(self._send_chunks(digest, content, last=last), digest, len(content))

    def _send_chunks(self, digest: str, content: bytes, *, last: str) -> Reply:
        exam = self._exam
        location = exam.start_upload(digest)
        by_patch = content if last == "PATCH" else content[: 2 * CHUNK]
        for start in range(0, len(by_patch), CHUNK):
            chunk = by_patch[start : start + CHUNK]
            reply, location = exam.send_chunk(location, chunk, start)
            expect_status(reply, 202)
            exam.expect_offset(reply, start + len(chunk))
        rest = content[len(by_patch) :]
        return exam.finish_upload(location, digest, rest, len(by_patch) if rest else None)

    def _push_out_of_order(self, digest: str, content: bytes, *, last: str) -> None:
        """The third chunk before the second is refused; the session says where to go on, and goes on."""
        exam = self._exam
        location = exam.start_upload(digest)
        reply, location = exam.send_chunk(location, content[:CHUNK], 0)
        expect_status(reply, 202)
        third = content[2 * CHUNK :]
        if last == "PUT":
            refused = exam.finish_upload(location, digest, third, 2 * CHUNK)
        else:
            refused, _ = exam.send_chunk(location, third, 2 * CHUNK)
        expect_status(refused, 416)
        asked = exam.wire.send("GET", location, fresh=True)
        expect_status(asked, 204)
        exam.expect_offset(asked, CHUNK)
        reply, location = exam.send_chunk(exam.wire_location(asked), content[CHUNK:], CHUNK)
        expect_status(reply, 202)
        exam.expect_offset(reply, len(content))
        exam.expect_created(exam.finish_upload(location, digest), digest, len(content))

    def _mount(self, digest: str, source: str) -> Reply:
        parameters = [("mount", digest), *([("from", source)] if source else [])]
        # Without a source no challenge can name one: such a mount finds what the token at hand may read.
        path = self._exam.path("blobs/uploads/")
        return self._exam.wire.send("POST", path, parameters=parameters, fresh=bool(source))

    def _push_after_mount(self, digest: str, content: bytes) -> None:
        reply = self._mount(digest, self._exam.other)
        expect_status(reply, 202)
        location = self._exam.wire_location(reply)
        self._exam.expect_created(self._exam.finish_upload(location, digest, content), digest, len(content))


def delete_blob(exam: Examination, title: str, name: str, digest: str, repository: str = "") -> None:
    """Delete a blob, and see that it is gone at once."""
    path = exam.path(f"blobs/{digest}", repository)
    with exam.check(title, f"{name}: DELETE", Facet.BLOB_DELETE) as noted:
        reply = exam.wire.send("DELETE", path)
        if reply.status in {400, 405}:
            raise Declined(reply, "blobs can be deleted")
        expect_status(reply, 202)
    if noted.passed:
        with exam.check(title, f"{name}: gone after DELETE", Facet.BLOB_DELETE_ATOMIC):
            expect_status(exam.wire.send("HEAD", path), 404)


def _expect_range(reply: Reply, content: bytes, part: slice | None) -> None:
    if reply.status == 200:
        expect_body(reply, content)
        raise Declined(reply, "status 206 or 416: the range is looked at")
    if part is None:
        expect_status(reply, 416)
        return
    expect_status(reply, 206)
    start, stop, _ = part.indices(len(content))
    expect_body(reply, content[part])
    expect_header(reply, "Content-Length", str(stop - start))
    expect_header(reply, "Content-Range", *(f"bytes {start}-{stop - 1}/{total}" for total in (len(content), "*")))
    if reply.headers.get("docker-content-digest") == digest_of(content[part]):
        raise Failed(reply, "a digest of the part", "the digest of the blob")
