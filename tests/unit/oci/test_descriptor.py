import pytest

from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.fields import InvalidDocumentError
from towpath.oci.platform import Platform

FULL = Descriptor(
    "application/x", Digest.of(b"x"), 1, {"k": "v"}, Platform("linux", "arm64", "v8"), "application/y", ("https://x/y",)
)


@pytest.mark.parametrize("descriptor", [FULL, Descriptor("application/x", Digest.of(b"x"), 0)])
def test_json_and_value_are_inverses(descriptor: Descriptor) -> None:
    assert Descriptor.from_json(descriptor.to_json()) == descriptor


def test_empty_fields_are_left_out() -> None:
    assert set(Descriptor("application/x", Digest.of(b"x"), 0).to_json()) == {"mediaType", "digest", "size"}


def test_every_problem_is_told() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        Descriptor.from_json({"digest": "sha256:", "size": 1.5, "platform": []})
    assert caught.value.problems == [
        "mediaType: is missing",
        "size: expected an integer, got a number",
        "digest: sha256 has 64 hexadecimal digits, got 0, got 'sha256:'",
        "platform: expected an object, got a list",
    ]


def test_a_descriptor_can_be_a_key() -> None:
    assert {FULL: 1}[FULL] == 1
