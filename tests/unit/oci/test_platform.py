import pytest

from towpath.oci.platform import Platform
from towpath.oci.syntax import InvalidTextError


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"])
def test_text_and_value_are_inverses(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidTextError, match="os/architecture"):
        Platform.parse(text)


def test_a_machine_is_known_by_the_names_it_gives_itself() -> None:
    assert Platform.of(os="Linux", machine="x86_64") == Platform("linux", "amd64")
    assert Platform.of(os="Linux", machine="aarch64") == Platform("linux", "arm64")
    assert Platform.of(os="Linux", machine="armv7l") == Platform("linux", "arm", "v7")


def test_an_absent_variant_is_the_default_one() -> None:
    assert Platform("linux", "arm64", "v8").matches(Platform("linux", "arm64"))
    assert not Platform("linux", "arm", "v6").matches(Platform("linux", "arm"))
    assert not Platform("linux", "amd64").matches(Platform("linux", "arm64"))
    assert not Platform("windows", "amd64").matches(Platform("linux", "amd64"))
