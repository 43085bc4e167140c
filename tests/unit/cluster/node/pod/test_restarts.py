import pytest

from towpath.cluster.node.pod.restarts import PullTimer, RestartTimer, format_duration, format_elapsed


def test_the_first_restart_is_at_once_and_later_ones_double_up_to_five_minutes() -> None:
    timer = RestartTimer()
    assert [timer.next_delay(ran_seconds=1) for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_minutes_of_running_forgive_everything() -> None:
    timer = RestartTimer()
    for _ in range(5):
        timer.next_delay(ran_seconds=1)
    assert [timer.next_delay(ran_seconds=600), timer.next_delay(ran_seconds=1)] == [0, 10]


def test_pulls_wait_from_the_first_failure_and_a_success_forgives() -> None:
    timer = PullTimer()
    assert [timer.failed() for _ in range(7)] == [10, 20, 40, 80, 160, 300, 300]
    timer.succeeded()
    assert timer.failed() == 10


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3661, "1h1m1s")])
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0821, "82ms"), (2.73, "2.73s"), (2.5986, "2.598s"), (3, "3s"), (62.5, "1m2.5s"), (3600, "1h0m0s")],
)
def test_times_that_passed_are_cut_to_milliseconds(seconds: float, text: str) -> None:
    assert format_elapsed(seconds) == text
