"""The four ways to push a blob."""

from conformance.registry.examination import Examination
from conformance.registry.expectations import Declined, expect_status
from conformance.registry.facets import Facet
from conformance.registry.wire import Reply

PUSHES = (Facet.BLOB_POST_PUT, Facet.BLOB_POST, Facet.BLOB_CHUNKED, Facet.BLOB_STREAM)
STREAM_PIECE = 100


def push_blob_as(
    exam: Examination, facet: Facet, digest: str, content: bytes, repository: str = "", *, unchecked: bool = False
) -> Reply:
    """Push a blob one way; returns the last answer, which must be a 201 unless `unchecked`."""
    ways = {
        Facet.BLOB_POST_PUT: _post_put,
        Facet.BLOB_POST: _post,
        Facet.BLOB_CHUNKED: _chunk,
        Facet.BLOB_STREAM: _stream,
    }
    reply = ways[facet](exam, digest, content, repository)
    if not unchecked:
        exam.expect_created(reply, digest, len(content))
    return reply


def _post_put(exam: Examination, digest: str, content: bytes, repository: str) -> Reply:
    return exam.finish_upload(exam.start_upload(digest, repository), digest, content)


def _post(exam: Examination, digest: str, content: bytes, repository: str) -> Reply:
    headers = {"Content-Type": "application/octet-stream"}
    path = exam.path("blobs/uploads/", repository)
    reply = exam.wire.send("POST", path, content, headers=headers, parameters=[("digest", digest)])
    if reply.status == 202:
        raise Declined(reply, "status 201: the content of the POST is the blob")
    return reply


def _chunk(exam: Examination, digest: str, content: bytes, repository: str) -> Reply:
    reply, location = exam.send_chunk(exam.start_upload(digest, repository), content, 0)
    expect_status(reply, 202)
    exam.expect_offset(reply, len(content))
    return exam.finish_upload(location, digest)


def _stream(exam: Examination, digest: str, content: bytes, repository: str) -> Reply:
    location = exam.start_upload(digest, repository)
    headers = {"Content-Type": "application/octet-stream"}
    reply = exam.wire.send("PATCH", location, content, headers=headers, piece=STREAM_PIECE)
    expect_status(reply, 202)
    exam.expect_offset(reply, len(content))
    return exam.finish_upload(exam.wire_location(reply), digest)
