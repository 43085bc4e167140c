"""The builder's table says which measure reaches which goal."""

from bench.build import Row, format_table


def test_both_measures_stand_beside_the_goal_and_what_reaches_it_is_bold() -> None:
    row = Row("nothing changed", ours=0.01, command=0.2, buildah=0.5, goal=0.05)
    cells = [cell.strip() for cell in format_table([row]).splitlines()[-1].split("|")[1:-1]]

    assert cells == ["nothing changed", "10 ms", "200 ms", "500 ms", "0.05 x", "**0.020 x**", "0.400 x", ""]


def test_what_was_not_measured_stays_empty() -> None:
    nothing = float("nan")
    cells = format_table([Row("base", 0.24, nothing, nothing, "17 MB")]).splitlines()[-1].split("|")[1:-1]

    assert [cell.strip() for cell in cells] == ["base", "240 ms", "", "", "", "", "", "17 MB"]
