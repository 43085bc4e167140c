"""Ages and sizes as people read them."""

import pytest

from towpath.amounts import format_age, format_size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172799, "47h"),
        (172800, "2d"),
    ],
)
def test_the_largest_unit_of_which_there_are_two(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3_565_158, "3.4 MiB"),
        (20 * 2**30, "20.0 GiB"),
        (5 * 2**50, "5120.0 TiB"),
    ],
)
def test_sizes_have_one_unit_of_powers_of_1024(count: float, text: str) -> None:
    assert format_size(count) == text
