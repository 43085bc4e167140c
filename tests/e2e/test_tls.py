"""`towpath up --tls`: git, the command line, the node and outside clients on one encrypted port, as a user has them."""

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.platform import LivePlatform, basic
from towpath.aio.clock import SystemClock
from towpath.http.certificates import ensure_certificates

# Clients here check certificates by the real time.
NOW = SystemClock().now()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """A platform with a certificate of its own."""
    with LivePlatform(tmp_path_factory.mktemp("tls")) as platform:
        platform.write_lab()
        platform.start("--tls")
        yield platform


def told(platform: LivePlatform) -> list[str]:
    """What `towpath up` printed."""
    return platform.log.read_text().splitlines()


def test_the_whole_loop_works_over_tls_with_what_the_greeting_says(lab: LivePlatform) -> None:
    lab.follow_greeting()
    lab.push()
    for service in ("clock", "lamp"):
        lab.await_healthy("dev", service, lab.head())
    assert "Healthy" in lab.towpath("status").out
    states = {check["check"]: check["state"] for check in lab.api("/doctor")["checks"]}
    assert [states[name] for name in ("certificate", "pull secrets", "robot accounts")] == ["ok", "ok", "ok"]
    lab.towpath("secrets", "rotate")


def test_what_containers_need_is_printed_and_true(lab: LivePlatform) -> None:
    (line,) = [line for line in told(lab) if "clients need" in line]
    authority = Path(line.split()[-1])
    assert authority == lab.state / "cluster" / "pki" / "ca.crt"
    assert any(f"/etc/containers/certs.d/127.0.0.1:{lab.port}" in line for line in told(lab))
    assert any(f"/etc/containerd/certs.d/127.0.0.1:{lab.port}/hosts.toml" in line for line in told(lab))
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection("127.0.0.1", lab.port, context=context, timeout=60)
    connection.request("GET", "/v2/", headers={"Authorization": basic("towpath", lab.token)})
    assert connection.getresponse().status == 200
    connection.close()


def test_clear_text_is_not_answered(lab: LivePlatform) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        lab.request("GET", "/healthz")


def test_a_given_certificate_is_served_and_its_renewal_too(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "given", names=["127.0.0.1"], now=NOW)
    newer = ensure_certificates(tmp_path / "newer", names=["127.0.0.1"], now=NOW, authority=tmp_path / "given")
    with LivePlatform(tmp_path / "lab") as platform:
        platform.root.parent.mkdir()
        platform.write_lab()
        platform.start("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
        first = ssl.get_server_certificate(("127.0.0.1", platform.port))
        newer.certificate.replace(files.certificate)
        newer.key.replace(files.key)
        second = ssl.get_server_certificate(("127.0.0.1", platform.port))
        assert first != second == files.certificate.read_text()
        # The command line trusts what it was told at the start: the file, which is the new certificate.
        assert platform.towpath("status").code == 0


def test_beyond_loopback_clear_text_must_be_said(tmp_path: Path) -> None:
    with LivePlatform(tmp_path) as platform:
        platform.scaffold()
        refused = platform.towpath("up", "--host", "192.0.2.1", "--port", "0", expect=2)
        assert "ClearText" in refused.err
        assert "--insecure-http" in refused.err
