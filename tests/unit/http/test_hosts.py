import pytest

from towpath.http.hosts import is_loopback


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
