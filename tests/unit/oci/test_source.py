"""One address for every spelling of a remote."""

import pytest

from towpath.oci.source import format_source


@pytest.mark.parametrize(
    "spelled",
    [
        "https://github.com/me/lab",
        "https://github.com/me/lab.git",
        "https://github.com/me/lab/",
        "https://github.com/me/lab.git/",
        "https://GitHub.com:443/me/lab",
        "http://github.com/me/lab.git",
        "http://github.com:80/me/lab.git",
        "https://me:secret@github.com/me/lab.git",
        "https://github.com/me/lab.git?access_token=secret#readme",
        "git@github.com:me/lab.git",
        "github.com:me/lab",
        "git@github.com:/me/lab.git",
        "ssh://git@github.com/me/lab.git",
        "ssh://git@github.com:2222/me/lab",
        "git+ssh://git@github.com/me/lab",
        "git://github.com:9418/me/lab.git",
        " https://github.com/me/lab\n",
    ],
)
def test_a_remote_has_one_form(spelled: str) -> None:
    assert format_source(spelled) == "https://github.com/me/lab"


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("https://git.example:3000/me/Lab.git", "https://git.example:3000/me/Lab"),
        ("http://127.0.0.1:7080/git/lab.git", "http://127.0.0.1:7080/git/lab"),
        ("https://[2001:DB8::1]:8443/lab", "https://[2001:db8::1]:8443/lab"),
        ("git@[::1]:lab.git", "https://[::1]/lab"),
    ],
)
def test_what_tells_two_places_apart_stays(spelled: str, expected: str) -> None:
    assert format_source(spelled) == expected
    assert format_source(expected) == expected


@pytest.mark.parametrize(
    "spelled",
    [
        "",
        "/srv/git/lab.git",
        "../lab.git",
        "./odd:name",
        "file:///srv/git/lab.git",
        "ext::ssh -i key git@host %S",
        "https://",
        "https://github.com",
        "https://github.com/.git",
        "https://host:port/lab",
        "https://[broken/lab",
        "git@github.com:me/la\x1bb",
    ],
)
def test_what_no_other_machine_understands_is_no_address(spelled: str) -> None:
    assert format_source(spelled) == ""
