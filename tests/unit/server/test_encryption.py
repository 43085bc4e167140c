"""Whether and how a platform's own port speaks TLS."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from towpath.aio.clock import SystemClock
from towpath.errors import UserError
from towpath.http.certificates import ensure_certificates
from towpath.http.tls import ServerCertificate, find_mismatch
from towpath.server.encryption import Encryption, examine_encryption, prepare_encryption
from towpath.server.settings import OutsideCluster, Settings

# Clients here check certificates by the real time.
NOW = SystemClock().now()


def prepare(root: Path, **options: Any) -> Encryption | None:
    return prepare_encryption(Settings(root, **options), now=NOW)


def given(tmp_path: Path, name: str = "registry.lan") -> dict[str, Path]:
    """The options that name a certificate for `name` alone."""
    made = ensure_certificates(tmp_path / "given", names=[name], now=NOW)
    return {"tls_certificate": made.certificate, "tls_key": made.key}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "192.168.1.10", "insecure_http": True},
        {"host": "0.0.0.0", "plain_http": True, "advertise": "192.168.1.10:7070"},  # noqa: S104 - not bound
        {"host": "0.0.0.0", "outside": OutsideCluster()},  # noqa: S104 - a pod, behind what its cluster has in front
    ],
)
def test_loopback_is_clear_text_and_so_is_what_the_user_says(tmp_path: Path, options: dict[str, Any]) -> None:
    assert prepare(tmp_path, **options) is None


@pytest.mark.parametrize("host", ["192.168.1.10", "0.0.0.0", "::", "towpath.lan"])  # noqa: S104 - not bound
def test_beyond_loopback_clear_text_must_be_said(tmp_path: Path, host: str) -> None:
    with pytest.raises(UserError, match="ClearText") as refused:
        prepare(tmp_path, host=host)
    assert "--insecure-http" in refused.value.hint


def test_an_outside_cluster_alone_is_no_reason_for_clear_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ClearText"):
        prepare(tmp_path, host="192.168.1.10", outside=OutsideCluster(tmp_path / "kubeconfig"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "127.0.0.1"),
        ({"host": "192.168.1.10"}, "192.168.1.10"),
        ({"host": "0.0.0.0", "advertise": "towpath.lan:7070"}, "towpath.lan"),  # noqa: S104 - not bound
        ({"host": "0.0.0.0"}, "0.0.0.0"),  # noqa: S104 - this machine, to its own clients
        ({"host": "::"}, "::"),
    ],
)
def test_a_certificate_of_its_own_is_good_for_where_images_are_pulled_from(
    tmp_path: Path, options: dict[str, Any], name: str
) -> None:
    made = prepare(tmp_path, tls=True, **options)
    assert made is not None
    assert made.trusted == tmp_path / ".towpath" / "cluster" / "pki" / "ca.crt"
    server = ServerCertificate(made.certificate, made.key).context()
    for shown in (name, "127.0.0.1", "localhost"):
        assert find_mismatch(server, made.trust, shown) == ""
    assert find_mismatch(server, ssl.create_default_context(), name)


def test_a_given_certificate_is_used_where_it_is_good_for(tmp_path: Path) -> None:
    made = prepare(tmp_path, advertise="registry.lan:7070", **given(tmp_path))
    assert made is not None
    assert (made.name, made.trusted) == ("registry.lan", made.certificate)
    server = ServerCertificate(made.certificate, made.key).context()
    assert find_mismatch(server, made.trust, "registry.lan") == ""


def test_a_given_certificate_for_another_name_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Mismatch.*IP address mismatch") as refused:
        prepare(tmp_path, **given(tmp_path))
    assert "--advertise" in refused.value.hint


def test_a_certificate_and_its_key_go_together(tmp_path: Path) -> None:
    files = given(tmp_path)
    for name, missing in (("tls_certificate", "--tls-key"), ("tls_key", "--tls-cert")):
        with pytest.raises(UserError, match=missing):
            prepare(tmp_path, **{name: files[name]})


@pytest.mark.parametrize("broken", ["tls_certificate", "tls_key"])
def test_files_that_cannot_be_used_are_said(tmp_path: Path, broken: str) -> None:
    files = given(tmp_path)
    files[broken].write_text("nothing")
    with pytest.raises(UserError, match="BadCertificate"):
        prepare(tmp_path, advertise="registry.lan:7070", **files)
    files[broken].unlink()
    with pytest.raises(UserError, match="BadCertificate"):
        prepare(tmp_path, advertise="registry.lan:7070", **files)


def test_our_registry_is_asked_over_tls_and_others_as_before(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tls=True)
    assert not settings.speaks_plain_http(settings.registry_host)
    assert settings.speaks_plain_http("127.0.0.1:5000")
    assert Settings(tmp_path).speaks_plain_http("127.0.0.1:7070")


def test_doctor_tells_of_the_certificate(tmp_path: Path) -> None:
    made = prepare(tmp_path, tls=True)
    assert made is not None
    assert examine_encryption(None, now=NOW) == []
    made.certificate.unlink()
    (check,) = examine_encryption(made, now=NOW)
    assert (check.check, check.state) == ("certificate", "warning")
