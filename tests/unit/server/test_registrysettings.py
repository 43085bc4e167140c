"""Which settings of a registry on its own make sense together."""

from pathlib import Path
from typing import Any

import pytest

from towpath.errors import UserError
from towpath.server.registrysettings import RegistrySettings, check_settings

GIVEN: dict[str, Any] = {"tls_certificate": Path("given.crt"), "tls_key": Path("given.key")}


@pytest.mark.parametrize(
    ("options", "trusted"),
    [
        ({}, None),
        ({"host": "192.168.1.10", "insecure_http": True}, None),
        ({"host": "192.168.1.10", "tls": True}, Path("registry/tls/ca.crt")),
        ({"tls": True, "tls_names": ("registry.lan", "192.168.1.10", "fd00::1")}, Path("registry/tls/ca.crt")),
        ({"host": "192.168.1.10", **GIVEN}, Path("given.crt")),
        ({"tls": True, **GIVEN}, Path("given.crt")),
    ],
)
def test_what_clients_are_to_trust(options: dict[str, Any], trusted: Path | None) -> None:
    settings = RegistrySettings(Path("registry"), **options)
    check_settings(settings)
    assert settings.trusted == trusted


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"host": "192.168.1.10"}, "ClearText"),
        ({"tls_certificate": Path("given.crt")}, "--tls-key is missing"),
        ({"tls_key": Path("given.key")}, "--tls-cert is missing"),
        ({"plain_http": True}, "--plain-http says how --advertise is spoken to"),
        ({"plain_http": True, "advertise": "reg.lan:5000", "tls": True}, "--plain-http says how"),
        ({"tls_names": ("registry.lan",)}, "--tls-name asks for a certificate that is made here"),
        ({"tls": True, "tls_names": ("registry.lan",), **GIVEN}, "--tls-name asks for a certificate that is made here"),
        ({"tls": True, "tls_names": ("registry.lan:5000",)}, "'registry.lan:5000' is no name of a host"),
        ({"tls": True, "tls_names": ("",)}, "'' is no name of a host"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError) as refused:
        check_settings(RegistrySettings(Path("registry"), **options))
    assert reason in refused.value.message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ""),
        ({"advertise": "reg.example.com"}, "https://reg.example.com"),
        ({"advertise": "reg.lan:5000", "plain_http": True}, ""),
        ({"advertise": "localhost:5000"}, ""),
        ({"advertise": "reg.lan:5000", "tls": True}, ""),
        ({"advertise": "reg.lan:5000", **GIVEN}, ""),
    ],
)
def test_a_proxy_ends_tls_where_the_advertised_address_speaks_it_and_the_port_does_not(
    options: dict[str, Any], expected: str
) -> None:
    settings = RegistrySettings(Path("registry"), **options)
    check_settings(settings)
    assert settings.external_url == expected
