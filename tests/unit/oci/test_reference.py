import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.oci.digest import Digest
from towpath.oci.reference import InvalidReferenceError, Reference, parse_repository, parse_tag

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("busybox", "docker.io", "library/busybox", ""),
        ("busybox:1.36", "docker.io", "library/busybox", "1.36"),
        ("team/app", "docker.io", "team/app", ""),
        ("my.app", "docker.io", "library/my.app", ""),
        ("my.app:5000", "docker.io", "library/my.app", "5000"),
        ("localhost/app:v1", "localhost", "app", "v1"),
        ("127.0.0.1:7070/my-homelab/sensor:canary", "127.0.0.1:7070", "my-homelab/sensor", "canary"),
        ("[::1]:5000/app", "[::1]:5000", "app", ""),
        ("GHCR.io/acme/app:sha-0123456", "GHCR.io", "acme/app", "sha-0123456"),
        ("ghcr.io/a__b/c--d/e.f:_x", "ghcr.io", "a__b/c--d/e.f", "_x"),
    ],
)
def test_every_common_spelling_is_read(text: str, registry: str, repository: str, tag: str) -> None:
    reference = Reference.parse(text)
    assert (reference.registry, reference.repository, reference.tag) == (registry, repository, tag)
    assert reference.digest is None
    assert Reference.parse(str(reference)) == reference


def test_a_tag_beside_a_digest_is_kept_but_the_digest_is_pulled() -> None:
    reference = Reference.parse(f"ghcr.io/acme/app:canary@{DIGEST}")
    assert (reference.tag, str(reference.digest)) == ("canary", DIGEST)
    assert reference.target == DIGEST
    assert str(reference) == f"ghcr.io/acme/app:canary@{DIGEST}"


def test_without_tag_and_digest_the_target_is_latest() -> None:
    assert Reference.parse("ghcr.io/acme/app").target == "latest"


def test_retagging_drops_the_digest_and_pinning_keeps_the_tag() -> None:
    reference = Reference.parse(f"ghcr.io/acme/app:canary@{DIGEST}")
    assert str(reference.with_tag("v2")) == "ghcr.io/acme/app:v2"
    other = Digest.of(b"other")
    assert str(reference.with_digest(other)) == f"ghcr.io/acme/app:canary@{other}"
    with pytest.raises(InvalidReferenceError):
        reference.with_tag("no spaces")


@pytest.mark.parametrize(
    ("text", "problem", "position"),
    [
        ("", "got nothing", 0),
        ("https://ghcr.io/acme/app", "no scheme", 5),
        ("ghcr.io/Acme/app:v1", "the capital letter 'A' is not allowed", 8),
        ("ghcr.io/acme//app", "component is empty", 13),
        ("ghcr.io/acme/../app", "'.' is not allowed", 13),
        ("ghcr.io/acme/app:", "the tag is empty", 17),
        ("ghcr.io/acme/app:-v1", "'-' is not allowed here in a tag", 17),
        ("ghcr.io/acme/app:v 1", "white space is not allowed here in a tag", 18),
        ("ghcr.io/acme/app:" + "v" * 129, "at most 128", 145),
        ("ghcr.io/acme/app@sha256:zz", "lower-case hexadecimal", 24),
        ("ghcr.io:port/app", "':' is not allowed in a registry host", 7),
        ("localhost", "registry without a repository", 9),
        ("ghcr.io/" + "a" * 260, "at most 255", 255),
        ("a/b\x1b[2J", "a control character", 3),
    ],
)
def test_a_wrong_reference_is_refused_with_the_place(text: str, problem: str, position: int) -> None:
    with pytest.raises(InvalidReferenceError, match=problem) as caught:
        Reference.parse(text)
    assert caught.value.position == position


def test_the_marker_stands_under_the_wrong_character() -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse("ghcr.io/acme/App:v1")
    _, text, marker = caught.value.message.splitlines()
    assert text[marker.index("^")] == "A"


@pytest.mark.parametrize("name", ["../x", "a/../b", "/a", "a/", "a//b", "A", "a b", "a\x00b", "%2e", "_uploads", ""])
def test_path_tricks_are_no_repository_names(name: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_repository(name)


def test_a_bare_repository_and_a_bare_tag_are_checked() -> None:
    assert parse_repository("team/app") == "team/app"
    assert parse_tag("canary") == "canary"
    with pytest.raises(InvalidReferenceError, match="at most 255"):
        parse_repository("a" * 256)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_within_itself(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError as error:
        within = 0 <= error.position <= len(text)
    else:
        within = Reference.parse(str(reference)) == reference
    assert within
