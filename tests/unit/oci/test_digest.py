import hashlib

import pytest

from towpath.oci.digest import Digest, InvalidDigestError


def test_text_and_value_are_inverses() -> None:
    text = "sha256:" + "ab" * 32
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_digest_of_bytes_is_the_algorithms(algorithm: str) -> None:
    digest = Digest.of(b"boat", algorithm)
    assert digest.hex == hashlib.new(algorithm, b"boat").hexdigest()
    assert digest.matches(b"boat")
    assert not digest.matches(b"boats")


def test_content_in_pieces_hashes_like_content_at_once() -> None:
    digest = Digest.of(b"boat", "sha512")
    hasher = digest.hasher()
    for byte in b"boat":
        hasher.update(bytes([byte]))
    assert hasher.hexdigest() == digest.hex


@pytest.mark.parametrize(
    ("text", "problem", "position"),
    [
        ("", "no colon", 0),
        ("sha256", "no colon", 6),
        ("md5:" + "a" * 32, "'md5' is not sha256 or sha512", 0),
        ("../../etc:passwd", "is not sha256", 0),
        ("sha256:" + "A" * 64, "lower-case", 7),
        ("sha256:" + "a" * 10 + "/" + "a" * 53, "lower-case", 17),
        ("sha256:" + "a" * 63, "64 hexadecimal digits, got 63", 70),
        ("sha256:" + "a" * 65, "64 hexadecimal digits, got 65", 71),
    ],
)
def test_what_is_no_digest_is_refused_with_the_place(text: str, problem: str, position: int) -> None:
    with pytest.raises(InvalidDigestError, match=problem) as caught:
        Digest.parse(text)
    assert caught.value.position == position
