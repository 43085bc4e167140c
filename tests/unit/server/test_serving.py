"""Options about serving that have no effect are refused, of a platform and of a registry alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.errors import UserError
from towpath.server.manner import choose_manner
from towpath.server.registrysettings import RegistrySettings, check_settings
from towpath.server.settings import Settings


def check_platform(**options: Any) -> None:
    choose_manner(Settings(Path("platform"), **options), trust=None, at_the_end=lambda _: None)


def check_alone(**options: Any) -> None:
    check_settings(RegistrySettings(Path("registry"), **options))


@pytest.mark.parametrize("check", [check_platform, check_alone])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"anonymous_pull": ("home/*", "Foo")}, "--anonymous-pull: repository 'Foo'"),
        ({"anonymous_pull": ("s/../*",)}, "no repository can have a name that it matches"),
        ({"notify_secret_file": Path("secret")}, "--notify-secret-file signs what listeners are told (Usage)"),
        ({"upstream_logins": Path("logins")}, "--upstream-logins opens other registries (Usage)"),
    ],
)
def test_what_would_have_no_effect_is_refused(check: Callable[..., None], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError) as refused:
        check(**options)
    assert reason in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("check", [check_platform, check_alone])
@pytest.mark.parametrize(
    "options",
    [
        {"anonymous_pull": ("home/*", "*")},
        {"notify_secret_file": Path("secret"), "notify": ("https://x/",)},
        {"upstream_logins": Path("logins"), "upstreams": ("hub=docker.io",)},
        {"upstream_logins": Path("logins"), "mend_from": ("lab=ghcr.io/me/lab",)},
    ],
)
def test_what_has_an_effect_is_taken(check: Callable[..., None], options: dict[str, Any]) -> None:
    check(**options)
