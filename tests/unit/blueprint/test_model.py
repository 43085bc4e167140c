import pytest

from towpath.blueprint.model import is_label, platform_name


@pytest.mark.parametrize("text", ["a", "sensor", "chaos-controller", "0", "a" * 63, "1st"])
def test_dns_labels_are_labels(text: str) -> None:
    assert is_label(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a_b", "a.b", "a" * 64, "ä", "a\n"])
def test_anything_else_is_not(text: str) -> None:
    assert not is_label(text)


@pytest.mark.parametrize(
    ("directory", "name"),
    [("My Homelab", "my-homelab"), ("home.lab_2", "home-lab-2"), ("...", "platform"), ("x" * 80, "x" * 63)],
)
def test_a_platform_name_is_made_from_any_directory_name(directory: str, name: str) -> None:
    assert platform_name(directory) == name
    assert is_label(name)
