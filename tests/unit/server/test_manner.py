"""How the registry of a platform meets its clients, as the user's settings say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.errors import UserError
from towpath.registry.traffic import Passage
from towpath.server.manner import choose_manner
from towpath.server.settings import Settings


async def test_an_access_log_is_kept_where_it_is_asked_for_and_closed_at_the_end(tmp_path: Path) -> None:
    at_the_end: list[Callable[[], None]] = []
    settings = Settings(tmp_path, access_log=str(tmp_path / "access.log"))
    manner = choose_manner(settings, trust=None, at_the_end=at_the_end.append)
    (observer,) = manner.observers
    observer.passed(Passage("1", "GET", "/v2/", "base", "", "", 0.0))
    for close in at_the_end:
        close()
    assert (tmp_path / "access.log").read_text().count("\n") == 1


def test_nothing_is_noted_opened_or_told_unless_it_is_asked_for(tmp_path: Path) -> None:
    manner = choose_manner(Settings(tmp_path), trust=None, at_the_end=lambda close: pytest.fail(f"{close}"))
    assert (list(manner.observers), list(manner.anonymous), list(manner.notify)) == ([], [], [])


@pytest.mark.parametrize(
    "options",
    [{"anonymous_pull": ("open/*",)}, {"notify": ("http://x/",), "notify_secret_file": Path("/secret")}],
)
def test_what_is_asked_for_is_passed_on(tmp_path: Path, options: dict[str, Any]) -> None:
    manner = choose_manner(Settings(tmp_path, **options), trust=None, at_the_end=lambda _: None)
    found = {
        "anonymous_pull": manner.anonymous,
        "notify": manner.notify,
        "notify_secret_file": manner.notify_secret_file,
    }
    assert {name: found[name] for name in options} == options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ""),
        ({"advertise": "towpath.lan"}, "https://towpath.lan"),
        ({"advertise": "towpath.lan:7070", "plain_http": True}, ""),
        ({"advertise": "towpath.lan:7070", "tls": True}, ""),
        ({"advertise": "127.0.0.1:7070"}, ""),
    ],
)
def test_behind_a_proxy_that_ends_tls_clients_get_their_tokens_at_the_advertised_address(
    tmp_path: Path, options: dict[str, Any], expected: str
) -> None:
    manner = choose_manner(Settings(tmp_path, **options), trust=None, at_the_end=lambda _: None)
    assert manner.external_url == expected


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="access log"):
        choose_manner(
            Settings(tmp_path, access_log=str(tmp_path / "no" / "where")), trust=None, at_the_end=lambda _: None
        )
