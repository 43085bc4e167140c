"""What cannot be run is told: as not run, or where it is required, as a failure."""

import pytest

from fakes.foreign import REQUIRE_JUDGES, not_run, require


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_a_judge_tests_are_reported_as_not_run(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_JUDGES, raising=False)
    if value is not None:
        monkeypatch.setenv(REQUIRE_JUDGES, value)
    with pytest.raises(pytest.skip.Exception, match="NOT RUN: needs root"):
        not_run("needs root")


def test_where_judges_are_required_the_absence_of_one_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_JUDGES, "1")
    with pytest.raises(pytest.fail.Exception, match="NOT RUN, though TOWPATH_REQUIRE_JUDGES demands it: needs root"):
        not_run("needs root")


def test_a_program_that_is_missing_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_JUDGES, raising=False)
    with pytest.raises(
        pytest.skip.Exception, match=r"NOT RUN: no-such-judge is not installed .*apt-get install judges"
    ):
        require("no-such-judge", package="judges")
    assert require("git").endswith("git")
