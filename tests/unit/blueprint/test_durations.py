import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.blueprint.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1.5s", 1.5), ("2d", 172800.0), ("0", 0.0)],
)
def test_a_duration_with_units_becomes_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "5 m", "-5s", "1h30", "5M", "1e3s", "٣s "])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unit"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**10))
def test_what_is_formatted_reads_back_the_same(milliseconds: int) -> None:
    assert round(parse_duration(format_duration(milliseconds / 1000)) * 1000) == milliseconds
