"""The set of a commit: one image for every service, as an OCI index.

    repository  <prefix>/sets
    tag         sha-<7>: the set of that commit, never moved · <channel>: the set the channel is at
    entries     the images, each annotated with its service, the commit that built it, its tree and its settings

Pure: `format_set` and `parse_set` are inverses. The set is all that CI remembers; it lives in the registry, so that a
platform that lost its data directory still knows what was built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from towpath.oci.annotations import CREATED, REVISION, SERVICE, TREE, VERSION
from towpath.oci.descriptor import Descriptor
from towpath.oci.manifest import Index, InvalidManifestError, format_manifest, parse_manifest
from towpath.oci.tags import sha_tag

SETS_REPOSITORY = "sets"
FINGERPRINT_ANNOTATION = "dev.towpath.settings"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One service's image in a set.

    Attributes:
        service: the service's name.
        descriptor: of its manifest, without annotations.
        revision: the full id of the commit that built it; an ancestor of the set's commit, or that commit.
        tree_id: Git's id of the directory it was built from.
        fingerprint: of the settings it was built with.
    """

    service: str
    descriptor: Descriptor
    revision: str
    tree_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ArtifactSet:
    """The images of all services at a commit.

    Attributes:
        commit: its full id.
        created: its time, RFC 3339.
        artifacts: by service name.
    """

    commit: str
    created: str
    artifacts: Mapping[str, Artifact]

    @property
    def tag(self) -> str:
        """The artifact tag of the commit."""
        return sha_tag(self.commit)


def format_set(artifact_set: ArtifactSet) -> bytes:
    """The index as bytes; equal sets give equal digests."""
    entries = [
        replace(
            artifact.descriptor,
            annotations={
                SERVICE: name,
                REVISION: artifact.revision,
                TREE: artifact.tree_id,
                FINGERPRINT_ANNOTATION: artifact.fingerprint,
            },
        )
        for name, artifact in sorted(artifact_set.artifacts.items())
    ]
    annotations = {
        REVISION: artifact_set.commit,
        CREATED: artifact_set.created,
        VERSION: artifact_set.tag,
    }
    return format_manifest(Index(tuple(entries), annotations))


def parse_set(raw: bytes, media_type: str = "") -> ArtifactSet:
    """Read a set.

    Raises:
        InvalidManifestError: the bytes are no index, or no index of ours.
    """
    index = parse_manifest(raw, media_type)
    if not isinstance(index, Index) or REVISION not in index.annotations:
        raise InvalidManifestError([f"annotations: expected {REVISION}, the commit whose set this is"])
    artifacts = {}
    for entry in index.manifests:
        service = entry.annotations.get(SERVICE, "")
        if service:
            artifacts[service] = Artifact(
                service=service,
                descriptor=replace(entry, annotations={}),
                revision=entry.annotations.get(REVISION, ""),
                tree_id=entry.annotations.get(TREE, ""),
                fingerprint=entry.annotations.get(FINGERPRINT_ANNOTATION, ""),
            )
    return ArtifactSet(index.annotations[REVISION], index.annotations.get(CREATED, ""), artifacts)
