import pytest

from towpath.http.hosts import is_loopback, reachable_address


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("127.0.0.1:7070", True),
        ("localhost", True),
        ("[::1]:5000", True),
        ("::1", True),
        ("ghcr.io", False),
        ("10.0.0.1:5000", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_told_from_the_rest(authority: str, expected: bool) -> None:
    assert is_loopback(authority) is expected


@pytest.mark.parametrize(
    ("listens", "reached"),
    [
        ("0.0.0.0:7070", "127.0.0.1:7070"),
        ("[::]:7070", "[::1]:7070"),
        ("192.168.1.10:7070", "192.168.1.10:7070"),
        ("127.0.0.1:7070", "127.0.0.1:7070"),
    ],
)
def test_a_listener_that_is_open_to_all_is_reached_at_loopback(listens: str, reached: str) -> None:
    assert reachable_address(listens) == reached
