"""Quantities: exact values and canonical text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kube.quantity import QuantityError, canonical_quantity, parse_quantity

CANONICAL = [
    ("1000m", "1"), ("0.5", "500m"), ("1", "1"), ("1.5", "1500m"), ("100m", "100m"), ("0", "0"), ("0Mi", "0"),
    ("1024Mi", "1Gi"), ("1536Mi", "1536Mi"), ("1.5Gi", "1536Mi"), ("0.5Gi", "512Mi"), ("128Mi", "128Mi"),
    ("1000", "1k"), ("1500", "1500"), ("1000000", "1M"), ("1e3", "1e3"), ("1E3", "1E3"), ("12e6", "12e6"),
    ("1e0", "1e0"), ("0.1Ki", "102400m"), ("512", "512"), (".5", "500m"), ("5.", "5."), ("1.125", "1.125"), ("2E6",
    "2E6"), ("2000E6", "2e9"), ("-1", "-1"), ("+2", "+2"), ("02", "02"), ("1n", "1m"), ("0.1n", "1m"), ("100u", "1m"),
    ("-1n", "0"), ("1000000u", "1"), ("2Ti", "2Ti"), ("1023Ki", "1023Ki"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical_form_is_the_api_servers(text: str, expected: str) -> None:
    assert canonical_quantity(text) == expected


@pytest.mark.parametrize(
    "text", ["", "m", "1mi", "1Mb", "one", "1 Gi", "1e", "--1", "1.2.3", "1ki", "9" * 80, "1e9999"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError, match="quantities must match"):
        canonical_quantity(text)


def test_numbers_from_yaml_are_quantities_too() -> None:
    assert canonical_quantity(1) == "1"
    assert canonical_quantity(0.25) == "250m"


@given(st.integers(-(10**12), 10**12), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi", "e3"]))
def test_canonical_form_keeps_the_value_and_is_a_fixed_point(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    canonical = canonical_quantity(text)
    assert parse_quantity(canonical) == parse_quantity(text)
    assert canonical_quantity(canonical) == canonical


def test_parse_is_exact() -> None:
    assert parse_quantity("0.1") == Decimal("0.1")
    assert parse_quantity("1Ei") == Decimal(1024**6)
