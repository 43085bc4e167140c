"""What Python distributions say of themselves."""

import pytest

from towpath.build.python_packages import parse_metadata


def test_name_version_and_licence_are_read() -> None:
    found = parse_metadata(
        "Metadata-Version: 2.4\nName: Flask\nVersion: 3.0.1\nLicense-Expression: BSD-3-Clause\n\nText"
    )
    assert found is not None
    assert (found.name, found.version, found.license) == ("Flask", "3.0.1", "BSD-3-Clause")


@pytest.mark.parametrize("license_", ["UNKNOWN", "x" * 101, "MIT License\n        Copyright somebody", ""])
def test_a_licence_that_is_no_name_is_left_out(license_: str) -> None:
    found = parse_metadata(f"Name: a\nVersion: 1\nLicense: {license_}\n")
    assert found is not None
    assert found.license == ""


@pytest.mark.parametrize("text", ["", "Name: a\n", "Version: 1\n", "\n\nName: a\nVersion: 1\n", "\0\0"])
def test_a_file_that_names_nothing_is_no_distribution(text: str) -> None:
    assert parse_metadata(text) is None
