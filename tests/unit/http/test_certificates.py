"""The certificates of the Kubernetes API are made once, kept, and renewed in time."""

from pathlib import Path

import pytest

from fakes.clock import START
from towpath.http.certificates import SERVING_DAYS, ensure_certificates
from towpath.http.tls import ServerCertificate

DAY = 86_400.0
NAMES = ["127.0.0.1", "localhost"]


def test_they_are_made_once_and_then_kept(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path / "pki", names=NAMES, now=START)
    content = first.certificate.read_bytes()
    again = ensure_certificates(tmp_path / "pki", names=NAMES, now=START + 10 * DAY)

    assert again.certificate.read_bytes() == content


@pytest.mark.parametrize(
    ("names", "days"),
    [
        pytest.param(NAMES, SERVING_DAYS - 20, id="near-its-end"),
        pytest.param([*NAMES, "10.43.0.1"], 1, id="another-name"),
    ],
)
def test_they_are_renewed_under_the_same_authority(tmp_path: Path, names: list[str], days: float) -> None:
    first = ensure_certificates(tmp_path / "pki", names=NAMES, now=START)
    content, authority = first.certificate.read_bytes(), first.authority_bytes()
    renewed = ensure_certificates(tmp_path / "pki", names=names, now=START + days * DAY)

    assert renewed.certificate.read_bytes() != content
    assert renewed.authority_bytes() == authority


def test_a_half_written_set_is_made_anew(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path / "pki", names=NAMES, now=START)
    first.key.unlink()

    again = ensure_certificates(tmp_path / "pki", names=NAMES, now=START)

    assert again.key.exists()
    ServerCertificate(again.certificate, again.key).context()  # key and certificate belong together


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "pki", names=NAMES, now=START)

    assert files.key.stat().st_mode & 0o077 == 0
    assert (tmp_path / "pki" / "ca.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "pki").stat().st_mode & 0o077 == 0


def test_two_servers_share_one_authority(tmp_path: Path) -> None:
    cluster = ensure_certificates(tmp_path / "pki", names=NAMES, now=START)
    registry = ensure_certificates(
        tmp_path / "tls", names=NAMES, now=START, authority=tmp_path / "pki", subject="towpath"
    )

    assert registry.authority == cluster.authority
    assert registry.certificate.read_bytes() != cluster.certificate.read_bytes()
    assert not (tmp_path / "tls" / "ca.crt").exists()
    ServerCertificate(registry.certificate, registry.key).context()


def test_an_authority_may_be_made_by_whoever_comes_first(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path / "tls", names=NAMES, now=START, authority=tmp_path / "pki")
    authority = first.authority_bytes()

    assert ensure_certificates(tmp_path / "pki", names=NAMES, now=START).authority_bytes() == authority
