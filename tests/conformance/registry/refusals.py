"""What is asked of a registry beside whole data sets: that it is one, what it says of nothing, what it must refuse."""

import random
from collections.abc import Collection

from conformance.registry.content import Draft, digest_of
from conformance.registry.cycle import expect_no_referrers
from conformance.registry.data_sets import BAD_DIGEST, INVALID_DIGEST, NONE
from conformance.registry.examination import Examination
from conformance.registry.expectations import Failed, expect_status, read_json
from conformance.registry.facets import Facet
from conformance.registry.pushes import push_blob_as


def examine_nothing(exam: Examination) -> None:
    """A registry before the first push."""
    absent = digest_of(exam.seed.encode())
    with exam.check(NONE, "ping", Facet.PING):
        expect_status(exam.wire.send("GET", "/v2/"), 200)
    with exam.check(NONE, "tag list of an empty repository", Facet.TAG_LIST):
        reply = exam.wire.send("GET", exam.path("tags/list"))
        expect_status(reply, 200, 404)
        if reply.status == 200 and read_json(reply).get("tags"):
            raise Failed(reply, str(reply), "no tags")
    with exam.check(NONE, "referrers of what is not there", Facet.REFERRERS):
        expect_no_referrers(exam, absent)
    for text in ("sha256:abc", "abc"):
        with exam.check(NONE, f"referrers of {text}", Facet.REFERRERS):
            expect_status(exam.wire.send("GET", exam.path(f"referrers/{text}")), 400)
    for reference, get, head in (
        (absent, Facet.MANIFEST_GET_DIGEST, Facet.MANIFEST_HEAD_DIGEST),
        ("missing", Facet.MANIFEST_GET_TAG, Facet.MANIFEST_HEAD_TAG),
    ):
        for method, facet in (("GET", get), ("HEAD", head)):
            with exam.check(NONE, f"{method} of a manifest that is not there ({reference[:6]})", facet):
                expect_status(exam.wire.send(method, exam.path(f"manifests/{reference}")), 404)


def examine_refusals(exam: Examination, titles: Collection[str]) -> None:
    """Manifests that are not what they are said to be; of the data sets that `titles` names."""
    for title, reference in ((BAD_DIGEST, ""), (INVALID_DIGEST, "sha256:baddigeststring")):
        if title not in titles:
            continue
        draft = Draft(random.Random(f"{exam.seed}/{title}"))  # noqa: S311 - contents
        manifest = draft.image()
        for digest, content in draft.blobs.items():
            with exam.check(title, f"push blob {digest[:19]}", Facet.BLOB_PUSH):
                push_blob_as(exam, Facet.BLOB_POST_PUT, digest, content)
        path = exam.path(f"manifests/{reference or manifest.digest}")
        with exam.check(title, "push", Facet.MANIFEST_PUT_DIGEST):
            body = manifest.content + (b"" if reference else b"  ")
            reply = exam.wire.send("PUT", path, body, headers={"Content-Type": manifest.media_type})
            expect_status(reply, 400)
        with exam.check(title, "GET", Facet.MANIFEST_GET_DIGEST):
            reply = exam.wire.send("GET", path)
            expect_status(reply, *((400, 404) if reference else (404,)))
        for digest in draft.blobs:
            with exam.check(title, f"DELETE blob {digest[:19]}", Facet.BLOB_DELETE):
                # Where blobs cannot be deleted, the checks of blobs say so.
                expect_status(exam.wire.send("DELETE", exam.path(f"blobs/{digest}")), 202, 400, 405)
