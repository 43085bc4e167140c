"""A TLS listener takes up a renewed certificate at the next connection, and keeps the old one when it cannot."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from towpath.aio.clock import SystemClock
from towpath.http.certificates import SERVING_DAYS, Certificates, ensure_certificates
from towpath.http.server import Listener
from towpath.http.tls import ServerCertificate, find_expiry, find_mismatch

# Clients here check certificates by the real time.
NOW = SystemClock().now()
DAY = 86_400.0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def make(directory: Path, name: str) -> Certificates:
    return ensure_certificates(
        directory / name, names=["127.0.0.1", "localhost", f"{name}.test"], now=NOW, authority=directory / "ca"
    )


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    files = make(tmp_path, "served")
    opened = Listener(app, certificate=files.certificate, key=files.key)
    await opened.start()
    yield opened
    await opened.close()


def trust(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.crt")
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python from 3.13 on does by itself
    return context


async def names_of(listener: Listener, context: ssl.SSLContext, server_name: str | None = "localhost") -> set[str]:
    """The names in the certificate that a new connection is shown."""
    context.check_hostname = server_name is not None
    _, writer = await asyncio.open_connection(
        "127.0.0.1", listener.port, ssl=context, server_hostname=server_name or ""
    )
    shown = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    await writer.wait_closed()
    return {value for kind, value in shown["subjectAltName"] if kind == "DNS"}


def replace(tmp_path: Path, source: str, *suffixes: str) -> None:
    for suffix in suffixes:
        (tmp_path / source / f"server.{suffix}").replace(tmp_path / "served" / f"server.{suffix}")


@pytest.mark.parametrize("server_name", ["localhost", None], ids=["by-name", "by-address"])
async def test_a_renewed_certificate_is_served_to_the_next_connection(
    listener: Listener, tmp_path: Path, server_name: str | None
) -> None:
    context = trust(tmp_path)
    assert "served.test" in await names_of(listener, context, server_name)
    make(tmp_path, "renewed")
    replace(tmp_path, "renewed", "crt", "key")
    assert "renewed.test" in await names_of(listener, context, server_name)


async def test_half_a_renewal_is_reported_once_and_the_old_pair_serves_on(
    listener: Listener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = trust(tmp_path)
    make(tmp_path, "renewed")
    replace(tmp_path, "renewed", "crt")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert "served.test" in await names_of(listener, context)
    assert len(caplog.records) == 1
    replace(tmp_path, "renewed", "key")
    assert "renewed.test" in await names_of(listener, context)


async def test_files_that_are_gone_for_a_moment_harm_nobody(
    listener: Listener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = trust(tmp_path)
    make(tmp_path, "renewed")
    (tmp_path / "served" / "server.key").unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert "served.test" in await names_of(listener, context)
    assert len(caplog.records) == 1
    replace(tmp_path, "renewed", "crt", "key")
    assert "renewed.test" in await names_of(listener, context)


@pytest.mark.parametrize(
    ("name", "expected"), [("127.0.0.1", ""), ("served.test", ""), ("other.test", "Hostname mismatch")]
)
def test_what_a_client_would_say_is_known_beforehand(tmp_path: Path, name: str, expected: str) -> None:
    served = make(tmp_path, "served")
    server = ServerCertificate(served.certificate, served.key).context()
    assert find_mismatch(server, trust(tmp_path), name).startswith(expected)
    assert bool(find_mismatch(server, trust(tmp_path), name)) is bool(expected)
    assert "unable to get local issuer" in find_mismatch(server, ssl.create_default_context(), name)


def test_it_is_known_when_a_certificate_ends(tmp_path: Path) -> None:
    now = time.time()
    for name, made_at, expected in (("young", now, now + SERVING_DAYS * DAY), ("old", now - 400 * DAY, 0.0)):
        files = ensure_certificates(tmp_path / name, names=["localhost"], now=made_at)
        found = find_expiry(files.certificate, files.key)
        assert found == pytest.approx(expected, abs=2)
    assert find_expiry(tmp_path / "nowhere", tmp_path / "nowhere") is None
