"""A set survives the registry byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.ci.sets import Artifact, ArtifactSet, format_set, parse_set
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, InvalidManifestError, Manifest, format_manifest, parse_manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)


def artifact(name: str) -> Artifact:
    return Artifact(name, Descriptor(media.OCI_MANIFEST, Digest.of(name.encode()), 100), COMMIT, "t" * 40, "f" * 16)


@given(st.sets(_NAMES))
def test_parsing_is_the_inverse_of_formatting(names: set[str]) -> None:
    artifact_set = ArtifactSet(COMMIT, "2026-01-31T09:30:00Z", {name: artifact(name) for name in names})

    assert parse_set(format_set(artifact_set), media.OCI_INDEX) == artifact_set


def test_equal_sets_give_equal_bytes_whatever_the_order() -> None:
    one = ArtifactSet(COMMIT, "", {name: artifact(name) for name in ("a", "b")})
    two = ArtifactSet(COMMIT, "", {name: artifact(name) for name in ("b", "a")})

    assert format_set(one) == format_set(two)


def test_a_set_is_an_index_that_names_its_commit() -> None:
    index = parse_manifest(format_set(ArtifactSet(COMMIT, "", {"sensor": artifact("sensor")})))

    assert isinstance(index, Index)
    assert index.annotations["org.opencontainers.image.revision"] == COMMIT
    assert index.annotations["org.opencontainers.image.version"] == "sha-0123456"
    assert index.manifests[0].annotations["dev.towpath.service"] == "sensor"


@pytest.mark.parametrize(
    "raw",
    [
        format_manifest(Index(())),
        format_manifest(Manifest(Descriptor(media.OCI_CONFIG, Digest.of(b""), 0), ())),
        b"{",
    ],
)
def test_what_is_no_set_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidManifestError):
        parse_set(raw)
