"""What cannot be run is told: as not run, or where it is required, as a failure."""

import pytest

from fakes.foreign import REQUIRE_NODE, not_run


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_a_node_tests_are_reported_as_not_run(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_NODE, raising=False)
    if value is not None:
        monkeypatch.setenv(REQUIRE_NODE, value)
    with pytest.raises(pytest.skip.Exception, match="NOT RUN: needs root"):
        not_run("needs root")


def test_where_a_node_is_required_its_absence_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_NODE, "1")
    with pytest.raises(pytest.fail.Exception, match="NOT RUN, though TOWPATH_REQUIRE_NODE demands it: needs root"):
        not_run("needs root")
