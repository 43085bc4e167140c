"""Resource quantities: `500m`, `1.5Gi`, `2e3`.

The API server stores quantities in canonical form, so writers that compare desired and live text must canonicalise
first: `1000m` is stored as `1`, `0.5` as `500m`, `1024Mi` as `1Gi`. Rules are those of apimachinery's `Quantity`:
no fraction digits, the largest suffix that keeps the number whole, the suffix family (decimal, binary or exponent)
kept.
"""

import re
from decimal import ROUND_CEILING, Context, Decimal

from towpath.errors import UserError

_PATTERN = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?\d{1,3}))?"
)
_DECIMAL_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIXES = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_EXACT = Context(prec=1100)  # wide enough for every number the pattern accepts in practice, so nothing is rounded
_MILLI = Decimal("1e-3")
_FAST_DIGITS = 18  # digits that surely fit 64 bits


class QuantityError(UserError):
    """The text is not a quantity."""


def _match(text: str) -> re.Match[str]:
    match = _PATTERN.fullmatch(text)
    if match is None or len(text) > 64:
        raise QuantityError(
            f"quantity {text[:64]!r} is invalid (BadQuantity): quantities must match the regular expression "
            r"'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            hint="write a number with an optional suffix, such as 500m, 2, 128Mi or 1G",
        )
    return match


def parse_quantity(text: str | float) -> Decimal:
    """The exact value. Raises QuantityError."""
    match = _match(str(text))
    number = Decimal(match["number"])
    if match["exponent"]:
        return _EXACT.scaleb(number, int(match["exponent"]))
    suffix = match["suffix"] or ""
    if suffix in _BINARY_SUFFIXES:
        return _EXACT.multiply(number, Decimal(1024 ** _BINARY_SUFFIXES[suffix]))
    return _EXACT.scaleb(number, _DECIMAL_SUFFIXES[suffix])


def canonical_quantity(text: str | float) -> str:
    """The form the API server stores. Values finer than a thousandth are rounded up. Raises QuantityError."""
    match = _match(str(text))
    if _is_kept(match):
        return str(text)
    value = parse_quantity(text)
    value = value.quantize(_MILLI, rounding=ROUND_CEILING, context=_EXACT)
    if value == 0:
        return "0"
    if match["suffix"] in _BINARY_SUFFIXES and abs(value) >= 1024 and value == value.to_integral_value():
        return _format_binary(int(value))
    return _format_decimal(value, exponent=bool(match["exponent"]))


def _is_kept(match: re.Match[str]) -> bool:
    """Whether upstream takes a decimal text for canonical at sight, and stores it as it was written.

    The test is upstream's: whole thousands of the suffix, no thousand left in the digits. It lets `1.125` and `2E6`
    pass.
    """
    suffix = match["suffix"] or ""
    if suffix in _BINARY_SUFFIXES:
        return False
    whole, _, fraction = match["number"].lstrip("+-").partition(".")
    digits = (whole.lstrip("0") or "0") + fraction
    scale = int(match["exponent"] or _DECIMAL_SUFFIXES[suffix]) - len(fraction)
    fits = len(digits) <= _FAST_DIGITS and scale >= -3
    return fits and scale % 3 == 0 and digits[0] != "0" and not digits.endswith("000")


def _format_binary(value: int) -> str:
    best = ""
    for suffix, power in _BINARY_SUFFIXES.items():
        if value % 1024**power == 0:
            best = suffix
    return f"{value // 1024 ** _BINARY_SUFFIXES[best]}{best}" if best else str(value)


def _format_decimal(value: Decimal, *, exponent: bool) -> str:
    """The largest power of a thousand that leaves a whole number."""
    best, best_power = "", 0
    for suffix, power in _DECIMAL_SUFFIXES.items():
        scaled = _EXACT.scaleb(value, -power)
        if scaled == scaled.to_integral_value():
            best, best_power = suffix, power
    number = int(_EXACT.scaleb(value, -best_power))
    if exponent:
        return f"{number}e{best_power}" if best_power else str(number)
    return f"{number}{best}"
