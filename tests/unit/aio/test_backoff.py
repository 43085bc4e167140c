import pytest

from towpath.aio.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.0), (-1, 0.0), (1, 10.0), (2, 20.0), (5, 160.0), (6, 300.0), (10_000, 300.0)]
)
def test_the_pause_doubles_up_to_its_cap(failures: int, seconds: float) -> None:
    assert Backoff(initial_seconds=10.0, cap_seconds=300.0).delay(failures) == seconds
