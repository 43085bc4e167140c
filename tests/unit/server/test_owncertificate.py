"""The certificate that `--tls` makes."""

from pathlib import Path

import pytest

from towpath.aio.clock import SystemClock
from towpath.errors import TowpathError
from towpath.http.tls import ServerCertificate, find_mismatch
from towpath.server.authorities import trusting
from towpath.server.owncertificate import ensure_own_certificate, is_certifiable

NOW = SystemClock().now()


@pytest.mark.parametrize(
    ("name", "certifiable"),
    [
        ("registry.lan", True),
        ("nuc", True),
        ("192.168.1.10", True),
        ("fd00::1", True),
        ("Registry.lan", False),
        ("registry.lan:5000", False),
        ("[fd00::1]", False),
        ("*.lan", False),
        ("https://registry.lan", False),
        ("", False),
    ],
)
def test_a_certificate_is_good_for_host_names_and_addresses(name: str, certifiable: bool) -> None:
    assert is_certifiable(name) is certifiable


def test_it_is_good_for_loopback_and_for_what_is_said(tmp_path: Path) -> None:
    made = ensure_own_certificate(tmp_path / "tls", names=["registry.lan", "fd00::1", "localhost"], now=NOW)
    server, client = ServerCertificate(made.certificate, made.key).context(), trusting(made.authority)
    for name in ("127.0.0.1", "localhost", "registry.lan", "fd00::1"):
        assert find_mismatch(server, client, name) == ""
    assert find_mismatch(server, client, "other.lan")


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    with pytest.raises(TowpathError, match="cannot be kept"):
        ensure_own_certificate(tmp_path / "tls", names=[], now=NOW)
