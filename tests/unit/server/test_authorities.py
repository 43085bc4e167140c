"""Whom other registries are believed by, and which of them are spoken to in clear text."""

import ssl
from pathlib import Path

import pytest

from towpath.aio.clock import SystemClock
from towpath.errors import UserError
from towpath.http.certificates import ensure_certificates
from towpath.http.tls import ServerCertificate, find_mismatch
from towpath.server.authorities import SYSTEM_DIRECTORIES, find_authorities, list_directories


def keep(directory: Path, registry: str, content: bytes, name: str = "ca.crt") -> Path:
    file = directory / registry / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("environ", "own"),
    [
        ({"HOME": "/home/me"}, ["/home/me/.config/containers/certs.d"]),
        ({"HOME": "/home/me", "XDG_CONFIG_HOME": "/etc/me"}, ["/etc/me/containers/certs.d"]),
        ({}, []),
    ],
)
def test_a_persons_directory_comes_before_the_machines(environ: dict[str, str], own: list[str]) -> None:
    assert list_directories(environ) == [*map(Path, own), *SYSTEM_DIRECTORIES]


def test_the_first_directory_of_a_registrys_name_is_used(tmp_path: Path) -> None:
    mine, machines = tmp_path / "mine", tmp_path / "machine"
    first = keep(mine, "registry.lan:5000", b"")
    keep(mine, "registry.lan:5000", b"", "client.cert")
    keep(machines, "registry.lan:5000", b"")
    second = keep(machines, "other.lan", b"")
    found = find_authorities(["registry.lan:5000", "registry.lan", "other.lan"], [mine, machines])
    assert found.files == {"registry.lan:5000": [first], "registry.lan": [], "other.lan": [second]}


@pytest.mark.parametrize("registry", ["", ".", "..", "../registry.lan", "/etc"])
def test_a_name_leads_to_no_other_directory(tmp_path: Path, registry: str) -> None:
    keep(tmp_path, "registry.lan", b"")
    keep(tmp_path, ".", b"")
    assert find_authorities([registry], [tmp_path / "registry.lan", tmp_path]).files == {registry: []}


def test_loopback_is_clear_text_unless_a_certificate_is_kept_for_it(tmp_path: Path) -> None:
    keep(tmp_path, "127.0.0.1:5000", b"")
    (tmp_path / "127.0.0.1:5002").mkdir()
    found = find_authorities(["127.0.0.1:5000", "127.0.0.1:5002"], [tmp_path])
    assert not found.speaks_plain_http("127.0.0.1:5000")
    assert found.speaks_plain_http("127.0.0.1:5001")
    assert found.speaks_plain_http("127.0.0.1:5002")
    assert not found.speaks_plain_http("registry.lan")


def test_what_is_kept_is_believed_beside_what_is_given_and_nothing_else_is(tmp_path: Path) -> None:
    now = SystemClock().now()
    servers = {name: ensure_certificates(tmp_path / name, names=["registry.lan"], now=now) for name in ("a", "b", "c")}
    keep(tmp_path / "certs.d", "registry.lan", servers["a"].authority_bytes())
    trust = find_authorities(["registry.lan"], [tmp_path / "certs.d"]).trust(servers["b"].authority)
    assert trust is not None
    believed = [
        name
        for name, files in servers.items()
        if not find_mismatch(ServerCertificate(files.certificate, files.key).context(), trust, "registry.lan")
    ]
    assert believed == ["a", "b"]
    assert trust.verify_mode is ssl.CERT_REQUIRED


def test_without_any_the_system_alone_is_believed(tmp_path: Path) -> None:
    assert find_authorities(["registry.lan"], [tmp_path]).trust() is None


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = keep(tmp_path, "registry.lan", b"nothing")
    with pytest.raises(UserError, match="BadCertificate") as refused:
        find_authorities(["registry.lan"], [tmp_path]).trust()
    assert str(file) in refused.value.message
