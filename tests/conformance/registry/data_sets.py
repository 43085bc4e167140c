"""The data sets: what is pushed, listed, read, referred to and deleted, one after the other.

Two more, the blobs of each algorithm, are in `blobs`; two manifests that must be refused are in `refusals`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from conformance.registry.content import EMPTY, LAYER, MANIFEST, Document, Draft, PushedManifest, digest_of
from conformance.registry.facets import Version

SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1"
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"
# 390 annotations of 10 kB: just below the four megabytes that a registry should take.
LARGE_ANNOTATIONS = 390


@dataclass(frozen=True)
class DataSet:
    """What is pushed. `sparse` refers to what is not: a registry may refuse it, with the code for that."""

    title: str
    blobs: dict[str, bytes] = field(repr=False)
    manifests: tuple[PushedManifest, ...]
    tag_parameters: bool = False
    sparse: bool = False


def _image(draft: Draft) -> None:
    draft.image(["image"])


def _uncompressed(draft: Draft) -> None:
    draft.image(["image-uncompressed"], compressed=False)


def _large_manifest(draft: Draft) -> None:
    draft.image(["large-manifest"], annotations={f"note-{n}": "A" * 10_000 for n in range(LARGE_ANNOTATIONS)})


def _index(draft: Draft) -> None:
    draft.multi_platform(["index"])


def _nested_index(draft: Draft) -> None:
    inner = [draft.multi_platform() for _ in range(2)]
    draft.index([one.descriptor for one in inner], ["nested-index"])


def _empty_index(draft: Draft) -> None:
    draft.index([], ["empty-index"])


def _artifact(draft: Draft) -> None:
    draft.artifact(SBOM, ["artifact"], annotations={"org.example.format": "json"})


def _artifact_index(draft: Draft) -> None:
    made = [draft.artifact(SBOM) for _ in range(2)]
    draft.index([{**one.descriptor, "artifactType": SBOM} for one in made], ["artifact-index"], artifactType=SBOM)


def _artifact_without_layers(draft: Draft) -> None:
    draft.artifact(SBOM, ["artifact-without-layers"], layers=0)


def _artifacts_with_subject(draft: Draft) -> None:
    subject = draft.image(["subject"]).descriptor
    draft.artifact(SBOM, ["sbom"], subject=subject, annotations={"org.example.format": "json"})
    draft.artifact(SIGNATURE, subject=subject, annotations={"org.example.key": "abcd"})
    draft.image(subject=subject)  # without an artifactType: the configuration's media type stands for it


def _index_with_subject(draft: Draft) -> None:
    subject = draft.multi_platform(["subject-index"]).descriptor
    entry = draft.artifact(SBOM).descriptor
    draft.index([entry], ["referring-index"], subject=subject, artifactType=SBOM, annotations={"org.example.n": "1"})
    draft.index([entry], subject=subject, annotations={"org.example.n": "2"})  # an index may have no type at all


def _missing_subject(draft: Draft) -> None:
    absent = draft.rng.randbytes(64)
    subject = {"mediaType": MANIFEST, "digest": digest_of(absent, draft.algorithm), "size": 64}
    draft.artifact(SIGNATURE, ["missing-subject"], subject=subject)


def _data_field(draft: Draft) -> None:
    config = {**draft.blob(EMPTY, b"{}"), "data": "e30="}
    draft.manifest(config, [config], ["data-field"], artifactType=SBOM)


def _nondistributable(draft: Draft) -> None:
    layer, diff_id = draft.layer()
    absent: list[Document] = []
    for media_type in (NONDISTRIBUTABLE, NONDISTRIBUTABLE + "+gzip"):
        digest = digest_of(draft.rng.randbytes(64))
        url = f"https://store.example.com/blobs/{digest}"
        absent.append({"mediaType": media_type, "digest": digest, "size": 123_456, "urls": [url]})
    config = draft.config([*(one["digest"] for one in absent), diff_id])
    draft.manifest(config, [*absent, layer], ["nondistributable"])


def _custom_fields(draft: Draft) -> None:
    extra: Document = {"org.example.extra": {"kept": ["as", "it", "is"], "number": 1.50}}
    layer, diff_id = draft.layer()
    manifest = draft.manifest(draft.config([diff_id], **extra), [layer], **extra)
    draft.index([manifest.descriptor], ["custom-fields"], **extra)


def _no_layers(draft: Draft) -> None:
    draft.image(["no-layers"], layers=0)


def _sparse(draft: Draft) -> None:
    absent: Document = {"mediaType": LAYER, "digest": digest_of(draft.rng.randbytes(64)), "size": 1024}
    layer, diff_id = draft.layer()
    draft.manifest(draft.config([diff_id, absent["digest"]]), [layer, absent], ["sparse-image"])
    image = draft.image().descriptor
    draft.index([image, {**absent, "mediaType": MANIFEST}], ["sparse-index"])


def _sha512(draft: Draft) -> None:
    draft.multi_platform()  # by digest alone: a tag would make the registry choose the algorithm


def _tag_parameters(draft: Draft) -> None:
    draft.multi_platform([f"tag-{draft.algorithm}-{n}" for n in range(10)])  # 10: what a registry should take at once
    draft.manifests[0] = replace(draft.manifests[0], tags=(f"tag-{draft.algorithm}-first",))


_MAKERS: dict[str, Callable[[Draft], None]] = {
    "image": _image,
    "image, uncompressed": _uncompressed,
    "large manifest": _large_manifest,
    "index": _index,
    "nested index": _nested_index,
    "empty index": _empty_index,
    "artifact": _artifact,
    "artifact index": _artifact_index,
    "artifact without layers": _artifact_without_layers,
    "artifacts with subject": _artifacts_with_subject,
    "index with subject": _index_with_subject,
    "missing subject": _missing_subject,
    "data field": _data_field,
    "nondistributable layers": _nondistributable,
    "custom fields": _custom_fields,
    "no layers": _no_layers,
    "sparse": _sparse,
    "sha512": _sha512,
    "tag parameters": _tag_parameters,
    "tag parameters, sha512": _tag_parameters,
}
DRAFT_ONLY = frozenset({"sparse", "tag parameters", "tag parameters, sha512"})
BLOBS = {"sha256": "blobs, sha256", "sha512": "blobs, sha512"}
BAD_DIGEST = "manifest of another digest"
INVALID_DIGEST = "malformed digest"
# What is not about content: is it a registry at all, and is nothing there before something was pushed.
NONE = "nothing pushed"


def titles_of(version: Version) -> tuple[str, ...]:
    """The data sets of a version in their order, `NONE` first."""
    made = [title for title in _MAKERS if version is Version.DEV or title not in DRAFT_ONLY]
    return (NONE, *BLOBS.values(), *made, BAD_DIGEST, INVALID_DIGEST)


def prepare_data_set(title: str, seed: str) -> DataSet | None:
    """Make the contents of a data set; None for those that other modules make."""
    maker = _MAKERS.get(title)
    if maker is None:
        return None
    draft = Draft(random.Random(f"{seed}/{title}"), "sha512" if "sha512" in title else "sha256")  # noqa: S311 - contents
    maker(draft)
    return DataSet(
        title,
        draft.blobs,
        tuple(draft.manifests),
        tag_parameters=title.startswith("tag parameters"),
        sparse=title == "sparse",
    )
