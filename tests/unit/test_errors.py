"""What a person reads of an error."""

from towpath.errors import TowpathError, show_name


def test_the_next_step_stands_below_what_happened() -> None:
    assert TowpathError("it broke", hint="mend it").diagnostics() == "it broke\n  next: mend it"
    assert TowpathError("it broke").diagnostics() == "it broke"


def test_nothing_in_an_error_moves_a_terminal() -> None:
    error = TowpathError("got \x1b[2J\x07 of é\nline\tcell", hint="\u202e")
    assert error.diagnostics() == "got \\x1b[2J\\x07 of é\nline\tcell\n  next: \\u202e"


def test_a_name_stays_on_its_line_and_can_always_be_printed() -> None:
    assert show_name("plain é ü.txt") == "plain é ü.txt"
    assert show_name("a\nb\tc\udcff") == "a\\nb\\tc\\udcff"
    show_name("\udcff").encode()
