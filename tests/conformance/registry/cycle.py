"""The life of one data set: pushed, listed, asked for, read, referred to, deleted.

Each data set leaves nothing behind, so that the next one finds the repository as it was.
"""

from typing import Any
from urllib.parse import quote

from conformance.registry.blobs import delete_blob
from conformance.registry.content import INDEX, PushedManifest
from conformance.registry.data_sets import DataSet
from conformance.registry.examination import Examination
from conformance.registry.expectations import (
    Declined,
    Failed,
    expect_body,
    expect_digest,
    expect_error_form,
    expect_header,
    expect_location,
    expect_status,
    read_json,
)
from conformance.registry.facets import Facet
from conformance.registry.pushes import push_blob_as
from conformance.registry.tags import examine_tag_list, find_link
from conformance.registry.wire import Reply


def examine_data_set(exam: Examination, data: DataSet) -> None:
    """Run the whole life."""
    for number, (digest, content) in enumerate(data.blobs.items()):
        ways = exam.pushes_that_work or [Facet.BLOB_POST_PUT]
        way = ways[number % len(ways)]
        with exam.check(data.title, f"push blob {number}", Facet.BLOB_PUSH, way):
            push_blob_as(exam, way, digest, content)
    kept = [manifest for manifest in data.manifests if _push_manifest(exam, data, manifest)]
    tags = [tag for manifest in kept for tag in manifest.tags]
    if tags or not data.manifests:
        examine_tag_list(exam, data.title, tags)
    for method, by_tag, by_digest in (
        ("HEAD", Facet.MANIFEST_HEAD_TAG, Facet.MANIFEST_HEAD_DIGEST),
        ("GET", Facet.MANIFEST_GET_TAG, Facet.MANIFEST_GET_DIGEST),
    ):
        for manifest in kept:
            for reference in (*manifest.tags, manifest.digest):
                facet = by_digest if reference == manifest.digest else by_tag
                _read_manifest(exam, data.title, method, manifest, reference, facet)
        _read_blobs(exam, data, method)
    _list_referrers(exam, data.title, kept)
    _delete(exam, data, kept)


def _push_manifest(exam: Examination, data: DataSet, manifest: PushedManifest) -> bool:
    """By digest, then by each tag; with tag parameters, all in one. False when a sparse one was refused."""
    subject = [Facet.MANIFEST_PUT_SUBJECT] if manifest.subject else []
    named = f"{'index' if manifest.media_type == INDEX else 'manifest'} {manifest.digest[:19]}"
    tags = list(manifest.tags) if data.tag_parameters else []
    facets = [Facet.MANIFEST_PUT_DIGEST, *subject, *([Facet.MANIFEST_PUT_TAGS] if tags else [])]
    accepted = True
    with exam.check(data.title, f"push {named} by digest", *facets) as noted:
        reply = _put(exam, manifest, manifest.digest, [("tag", tag) for tag in tags])
        if data.sparse and reply.status != 201:
            accepted = False
            expect_status(reply, 400, 404)
            if "MANIFEST_BLOB_UNKNOWN" not in expect_error_form(reply):
                raise Failed(reply, str(reply), "the code MANIFEST_BLOB_UNKNOWN")
        else:
            _expect_accepted(exam, reply, manifest)
            _expect_tags(reply, tags)
    if not accepted:
        return False
    tagged = data.tag_parameters and noted.passed
    # A registry that does not know the parameters gets its tags one by one, as from any client.
    for tag in () if tagged else manifest.tags:
        with exam.check(data.title, f"push {named} by tag {tag}", Facet.MANIFEST_PUT_TAG, *subject):
            _expect_accepted(exam, _put(exam, manifest, tag), manifest)
    return True


def _put(
    exam: Examination, manifest: PushedManifest, reference: str, parameters: list[tuple[str, str]] | None = None
) -> Reply:
    headers = {"Content-Type": manifest.media_type}
    path = exam.path(f"manifests/{reference}")
    return exam.wire.send("PUT", path, manifest.content, headers=headers, parameters=parameters)


def _expect_accepted(exam: Examination, reply: Reply, manifest: PushedManifest) -> None:
    expect_status(reply, 201)
    expect_location(reply)
    expect_digest(reply, manifest.digest, required=exam.draft)
    if manifest.subject:
        expect_header(reply, "OCI-Subject", manifest.subject)
    found = exam.wire.send("HEAD", exam.wire_location(reply))
    expect_status(found, 200)


def _expect_tags(reply: Reply, tags: list[str]) -> None:
    found = {tag.strip() for line in reply.headers.get_list("oci-tag") for tag in line.split(",")}
    if not tags:
        return
    if not found:
        raise Declined(reply, f"OCI-Tag: {', '.join(tags)}")
    if found != set(tags):
        raise Failed(reply, f"OCI-Tag: {', '.join(sorted(found))}", f"OCI-Tag: {', '.join(tags)}")


def _read_manifest(
    exam: Examination, title: str, method: str, manifest: PushedManifest, reference: str, facet: Facet
) -> None:
    with exam.check(title, f"{method} {reference[:40]}", facet):
        reply = exam.wire.send(method, exam.path(f"manifests/{reference}"))
        expect_status(reply, 200)
        expect_digest(reply, manifest.digest, required=exam.draft)
        expect_header(reply, "Content-Type", manifest.media_type)
        if method == "GET":
            expect_body(reply, manifest.content)
        else:
            expect_header(reply, "Content-Length", str(len(manifest.content)))


def _read_blobs(exam: Examination, data: DataSet, method: str) -> None:
    facet = Facet.BLOB_HEAD if method == "HEAD" else Facet.BLOB_GET
    for number, (digest, content) in enumerate(data.blobs.items()):
        with exam.check(data.title, f"{method} blob {number}", facet):
            reply = exam.wire.send(method, exam.path(f"blobs/{digest}"))
            expect_status(reply, 200)
            expect_digest(reply, digest, required=exam.draft)
            if method == "GET":
                expect_body(reply, content)
            else:
                expect_header(reply, "Content-Length", str(len(content)))


def _list_referrers(exam: Examination, title: str, manifests: list[PushedManifest]) -> None:
    """Each subject has exactly those who refer to it, with what the specification says of each; also by type."""
    for subject in dict.fromkeys(one.subject for one in manifests if one.subject):
        referring = [one for one in manifests if one.subject == subject]
        with exam.check(title, f"referrers of {subject[:19]}", Facet.REFERRERS):
            reply = exam.wire.send("GET", exam.path(f"referrers/{subject}"))
            _expect_referrers(exam, reply, referring)
        for wanted in dict.fromkeys([*(one.artifact_type for one in referring), "application/vnd.example.none"]):
            if not wanted:
                continue
            with exam.check(title, f"referrers of {subject[:19]} that are {wanted}", Facet.REFERRERS):
                path = exam.path(f"referrers/{subject}?artifactType={quote(wanted, safe='')}")
                reply = exam.wire.send("GET", path)
                expect_status(reply, 200)
                if "artifactType" not in reply.headers.get("oci-filters-applied", ""):
                    _expect_referrers(exam, reply, referring)
                    raise Declined(reply, "OCI-Filters-Applied: artifactType")
                _expect_referrers(exam, reply, [one for one in referring if one.artifact_type == wanted])


def _expect_referrers(exam: Examination, reply: Reply, referring: list[PushedManifest]) -> None:
    found: list[Any] = []
    while True:
        expect_status(reply, 200)
        expect_header(reply, "Content-Type", INDEX)
        document = read_json(reply)
        if document.get("schemaVersion") != 2 or document.get("mediaType") != INDEX:
            raise Failed(reply, str(reply), "an image index")
        found += document.get("manifests") or []
        following = find_link(reply)
        if not following:
            break
        reply = exam.wire.send("GET", following)
    for one in referring:
        expected = {**one.descriptor}
        if one.artifact_type:
            expected["artifactType"] = one.artifact_type
        entry = next((entry for entry in found if entry.get("digest") == one.digest), None)
        shown = None if entry is None else {name: entry[name] for name in entry if name != "annotations"}
        if shown != expected or any(
            (entry or {}).get("annotations", {}).get(k) != v for k, v in one.annotations.items()
        ):
            raise Failed(reply, f"entry {entry}", f"{expected} with annotations {one.annotations}")
    if len(found) != len(referring):
        raise Failed(reply, f"{len(found)} entries", f"{len(referring)} entries")


def _delete(exam: Examination, data: DataSet, manifests: list[PushedManifest]) -> None:
    """Tags first, then manifests from the top down, then blobs; each is gone at once."""
    for manifest in manifests:
        for tag in manifest.tags:
            _delete_reference(exam, data.title, tag, Facet.TAG_DELETE, Facet.TAG_DELETE_ATOMIC)
    for manifest in reversed(manifests):
        facets = (Facet.MANIFEST_DELETE, Facet.MANIFEST_DELETE_ATOMIC)
        _delete_reference(exam, data.title, manifest.digest, *facets)
    for number, digest in enumerate(data.blobs):
        delete_blob(exam, data.title, f"blob {number}", digest)


def _delete_reference(exam: Examination, title: str, reference: str, facet: Facet, atomic: Facet) -> None:
    path = exam.path(f"manifests/{reference}")
    with exam.check(title, f"DELETE {reference[:40]}", facet) as noted:
        reply = exam.wire.send("DELETE", path)
        if reply.status in {400, 405}:
            raise Declined(reply, "it can be deleted")
        expect_status(reply, 202)
    if noted.passed:
        with exam.check(title, f"{reference[:40]} is gone", atomic):
            expect_status(exam.wire.send("GET", path), 404)


def expect_no_referrers(exam: Examination, digest: str) -> None:
    """Nobody refers to this: that is an empty index, not an error."""
    _expect_referrers(exam, exam.wire.send("GET", exam.path(f"referrers/{digest}")), [])
