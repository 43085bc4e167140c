import asyncio
import logging
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import Receive, Scope, Send

from fakes.clock import VirtualClock
from towpath.http.server import Listener, ListenError


async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("a fault in the application")


async def ask(listener: Listener, host: str = "localhost", tls: ssl.SSLContext | None = None) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=tls)
    writer.write(f"GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    response = await reader.read()
    writer.close()
    await writer.wait_closed()
    return response.decode()


async def test_requests_are_served_from_start_to_close() -> None:
    listener = Listener(answer, clock=VirtualClock())
    await listener.start()
    assert listener.url == f"http://127.0.0.1:{listener.port}"
    response = await ask(listener)
    assert response.startswith("HTTP/1.1 200 OK\r\n")
    assert "date: Sat, 31 Jan 2026 09:30:00 GMT" in response
    assert "uvicorn" not in response
    await listener.close()
    with pytest.raises(ConnectionRefusedError):
        await ask(listener)


async def test_closing_twice_or_without_a_start_is_harmless() -> None:
    listener = Listener(answer)
    await listener.close()
    await listener.start()
    await listener.close()
    await listener.close()


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:7070", "127.9.9.9", "[::1]:80", "lab.localhost", "lab.example"]
)
async def test_loopback_and_configured_hosts_are_served(host: str) -> None:
    listener = Listener(answer, hosts=["Lab.Example"])
    await listener.start()
    assert "200 OK" in await ask(listener, host)
    await listener.close()


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.1.1", "0.0.0.0:80", ""])
async def test_another_host_is_refused_against_rebinding(host: str) -> None:
    listener = Listener(answer)
    await listener.start()
    assert (await ask(listener, host)).startswith("HTTP/1.1 421 ")
    await listener.close()


async def test_a_taken_port_is_named_with_the_next_step() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ListenError, match=f"PortInUse.*{port}") as caught:
            await Listener(answer, port=port).start()
    assert "choose another port" in caught.value.hint


async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ListenError, match="BadAddress"):
        await Listener(answer, host="192.0.2.1").start()


async def test_a_fault_of_the_application_is_logged_once_and_answers_500(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener(fail)
    await listener.start()
    with caplog.at_level(logging.ERROR):
        assert (await ask(listener)).startswith("HTTP/1.1 500 ")
    assert [record.getMessage() for record in caplog.records] == ["GET /x failed"]
    await listener.close()


async def test_a_request_in_flight_may_end_while_closing() -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        await finish.wait()
        await answer(scope, receive, send)

    listener = Listener(slow, grace_seconds=30)
    await listener.start()
    asked = asyncio.create_task(ask(listener))
    await started.wait()
    closing = asyncio.create_task(listener.close())
    await asyncio.sleep(0)
    finish.set()
    assert "200 OK" in await asked
    await closing


async def test_a_request_that_never_ends_is_cut_off() -> None:
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    listener = Listener(endless, grace_seconds=0.01)
    await listener.start()
    asked = asyncio.create_task(ask(listener))
    await started.wait()
    await listener.close()
    assert cancelled.is_set()
    await asyncio.gather(asked, return_exceptions=True)


def write_certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "cert.pem", directory / "key.pem"


async def test_a_certificate_makes_it_a_tls_listener(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    listener = Listener(answer, certificate=certificate, key=key)
    await listener.start()
    assert listener.url.startswith("https://")
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    assert "200 OK" in await ask(listener, tls=context)
    await listener.close()


async def test_an_unusable_certificate_is_named(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path)
    with pytest.raises(ListenError, match="BadCertificate"):
        await Listener(answer, certificate=certificate, key=tmp_path / "absent.pem").start()
