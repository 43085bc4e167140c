import pytest
from bench.document import fill_sections

DOCUMENT = "# Title\n\n<!-- bench push -->\nold\n<!-- end -->\n\nprose\n\n<!-- bench idle -->\n<!-- end -->\nthe end\n"


def test_a_section_is_replaced_and_everything_else_stays() -> None:
    filled = fill_sections(DOCUMENT, {"push": "new \\1 table\n"})
    assert filled == DOCUMENT.replace("old", "new \\1 table")


def test_an_empty_section_is_filled_and_can_be_filled_again() -> None:
    once = fill_sections(DOCUMENT, {"idle": "first"})
    assert fill_sections(once, {"idle": "second"}) == once.replace("first", "second")


def test_a_section_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="section startup"):
        fill_sections(DOCUMENT, {"startup": "x"})


def test_a_section_with_two_places_is_refused() -> None:
    with pytest.raises(ValueError, match="got 2"):
        fill_sections(DOCUMENT + DOCUMENT, {"push": "x"})
