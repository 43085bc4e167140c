import pytest

from towpath.oci.tags import is_channel, is_immutable, parse_sha_tag, sha_tag

COMMIT = "860c1901234567890abcdef01234567890abcdef"


def test_the_artifact_tag_has_the_first_seven_digits() -> None:
    assert sha_tag(COMMIT) == "sha-860c190"
    assert parse_sha_tag("sha-860c190") == "860c190"


@pytest.mark.parametrize("commit", ["", "860c19", "HEAD", COMMIT.upper(), "g" * 40])
def test_what_is_no_commit_gets_no_tag(commit: str) -> None:
    with pytest.raises(ValueError, match="not a commit id"):
        sha_tag(commit)


@pytest.mark.parametrize(
    "tag", ["canary", "sha-", "sha-12345", "sha-xyz1234", "SHA-860c190", "860c190", "sha-860c190 "]
)
def test_other_tags_name_no_commit(tag: str) -> None:
    assert parse_sha_tag(tag) is None


def test_channels_move_and_artifact_tags_do_not() -> None:
    assert is_channel("canary")
    assert is_channel("latest")
    assert not is_channel("sha-860c190")
    assert not is_channel("")
    assert is_immutable("sha-anything")
