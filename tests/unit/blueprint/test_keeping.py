"""`keeper` in the blueprint."""

import pytest

from towpath.blueprint.document import BlueprintError
from towpath.blueprint.keeping import parse_size
from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import Keeping

DAY = 86_400.0


def read(text: str) -> Keeping:
    return load_blueprint(text, [], default_name="home").keeping


def test_without_a_word_nothing_is_removed_by_itself_and_everything_is_read_once_a_week() -> None:
    keeping = read("")

    assert keeping == Keeping()
    assert not keeping.collects_daily
    assert (keeping.history_seconds, keeping.scrub_seconds, keeping.outside_tags) == (90 * DAY, 7 * DAY, None)


def test_every_setting_is_read() -> None:
    keeping = read(
        """
keeper:
  collect: daily
  history: 30d
  releases: 3
  sets: 20
  grace: 30m
  outside_tags: 50
  scrub: never
  quota:
    total: 20GiB
    guest/*: 512M
"""
    )

    assert keeping == Keeping(
        collects_daily=True,
        history_seconds=30 * DAY,
        releases=3,
        sets=20,
        grace_seconds=1800,
        outside_tags=50,
        scrub_seconds=None,
        quota={"total": 20 * 2**30, "guest/*": 512 * 2**20},
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("collect: hourly", "keeper.collect: got hourly, expected daily or never"),
        ("grace: 10s", "keeper.grace: a push must end within it"),
        ("sets: 0", "keeper.sets: got 0, expected a whole number from 1"),
        ("outside_tags: some", "keeper.outside_tags: got some, expected all"),
        ("outside_tags: 0", "keeper.outside_tags: got 0, expected all"),
        ("scrub: 5m", "keeper.scrub: got 5m, expected never, or a duration"),
        ("scrub: often", "keeper.scrub: got often, expected never, or a duration"),
        ("quota: {total: lots}", "keeper.quota.total: got lots, expected a size with a unit"),
        ("quota: {total: 20}", "keeper.quota.total: got 20, expected a size with a unit"),
        ("colect: daily", "keeper.colect: unknown key; did you mean collect?"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        read(f"keeper:\n  {text}\n")

    assert problem in str(caught.value.diagnostics())


def test_all_of_outside_tags_may_be_written_out() -> None:
    assert read("keeper: {outside_tags: all}").outside_tags is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GiB", 20 * 2**30), ("512M", 512 * 2**20), ("1.5 TiB", 3 * 2**39), ("100B", 100), ("3kb", 3072)],
)
def test_sizes_have_units_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size
