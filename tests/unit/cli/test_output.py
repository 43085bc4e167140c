"""Tables for people: aligned, coloured only where it helps, and safe to show."""

import pytest

from towpath.cli.output import print_table


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


def test_columns_are_aligned_and_lines_end_with_their_last_word(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "COUNT", "NOTE"], [["sensor", 12, ""], ["a-much-longer-one", 3, "late"]])

    assert capsys.readouterr().out.splitlines() == [
        "NAME                COUNT   NOTE",
        "sensor              12      -",
        "a-much-longer-one   3       late",
    ]


def test_a_table_without_rows_is_its_headers(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "COUNT"], [])

    assert capsys.readouterr().out == "NAME   COUNT\n"


def test_wide_and_combining_characters_are_counted_as_a_terminal_shows_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["NAME", "X"], [["日本", 1], ["e\u0301te\u0301", 2], ["abcd", 3]])

    assert capsys.readouterr().out.splitlines()[1:] == ["日本   1", "e\u0301te\u0301    2", "abcd   3"]


def test_a_cell_of_several_lines_stays_in_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "SAID", "END"], [["sensor", "first\nsecond", "x"], ["lamp", "third", "y"]])

    assert capsys.readouterr().out.splitlines()[1:] == [
        "sensor   first    x",
        "         second",
        "lamp     third    y",
    ]


def test_control_characters_of_others_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["SAID"], [["\x1b[2Jgone\r\x07\x9b1m"], ["a\tb"]])

    assert capsys.readouterr().out == "SAID\n[2Jgone1m\na       b\n"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_unless_the_environment_says_otherwise(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    coloured: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    print_table(["HEALTH", "NAME"], [["Healthy", "sensor"], ["Degraded", "lamp"]])

    shown = capsys.readouterr().out
    assert ("\x1b[32mHealthy\x1b[0m    sensor" in shown) == coloured
    assert ("\x1b[31mDegraded\x1b[0m   lamp" in shown) == coloured
    assert ("\x1b[1mHEALTH\x1b[0m" in shown) == coloured
    assert coloured or "\x1b" not in shown
