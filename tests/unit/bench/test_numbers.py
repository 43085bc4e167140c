import math

import pytest
from bench.numbers import Table, format_mebibytes, format_seconds, median, percentile


def test_the_median_of_an_even_number_is_between_the_two_in_the_middle() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(20, 0.95, 19.0), (20, 1.0, 20.0), (1, 0.95, 1.0), (100, 0.95, 95.0), (5, 0.01, 1.0)],
)
def test_a_percentile_is_a_sample_that_was_measured(count: int, share: float, expected: float) -> None:
    samples = [float(number) for number in range(count, 0, -1)]
    assert percentile(samples, share) == expected


@pytest.mark.parametrize(("samples", "share"), [([], 0.95), ([1.0], 0.0), ([1.0], 1.1), ([1.0], math.nan)])
def test_a_percentile_of_nothing_is_refused(samples: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(samples, share)


def test_a_table_is_markdown_with_numbers_to_the_right() -> None:
    table = Table(("stage", "median"), (("built", "5 ms"), ("ready", "1.00 s")))
    assert table.format() == "| stage | median |\n| --- | --: |\n| built | 5 ms |\n| ready | 1.00 s |"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1.2345, "1.23 s"), (0.5, "500 ms"), (0.0102, "10 ms"), (0.0021, "2.1 ms"), (0.0, "0.0 ms")]
)
def test_seconds_are_shown_as_finely_as_they_matter(seconds: float, shown: str) -> None:
    assert format_seconds(seconds) == shown


def test_bytes_are_shown_in_mebibytes() -> None:
    assert format_mebibytes(128 * 2**20 + 2**19) == "128.5 MiB"
