"""A certificate authority of our own and the serving certificates that it vouches for.

Made at the first start, kept beside the data of what is served, renewed when the certificate nears its end or lacks a
name. Several servers may share an authority, so that a client need trust one file only. The `cryptography` package is
imported only when something must be made.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from towpath.aio.files import write_durably

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_DAYS = 3650
SERVING_DAYS = 397  # the longest that browsers and Go's verifier accept without complaint
RENEW_BEFORE = timedelta(days=30)
MARKER = "names"
AUTHORITY_FILE = "ca.crt"


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of one server."""

    authority: Path
    certificate: Path
    key: Path

    def authority_bytes(self) -> bytes:
        """The authority's certificate, PEM."""
        return self.authority.read_bytes()


def ensure_certificates(
    directory: Path, *, names: Sequence[str], now: float, authority: Path | None = None, subject: str = "kube-apiserver"
) -> Certificates:
    """The certificates of a server, made or renewed if need be.

    Args:
        directory: where they are kept; made with mode 0700.
        names: host names and IP addresses the server answers to.
        now: wall time.
        authority: the directory of the authority, if it is another one; made when it holds none.
        subject: the certificate's common name, which people see; clients look at `names`.
    """
    keeper = authority or directory
    for wanted in (directory, keeper):
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = Certificates(keeper / AUTHORITY_FILE, directory / "server.crt", directory / "server.key")
    if not _is_current(directory, files, names, datetime.fromtimestamp(now, UTC)):
        _make(directory, files, names, datetime.fromtimestamp(now, UTC), subject)
    return files


def _is_current(directory: Path, files: Certificates, names: Sequence[str], now: datetime) -> bool:
    marker = directory / MARKER
    if not all(path.exists() for path in (files.authority, files.certificate, files.key, marker)):
        return False
    # The marker is written last: it stands for a complete set, and spares the parser at every start.
    expiry, *known = marker.read_text().split()
    return set(names) <= set(known) and now < datetime.fromisoformat(expiry) - RENEW_BEFORE


def _make(directory: Path, files: Certificates, names: Sequence[str], now: datetime, common_name: str) -> None:
    from cryptography import x509  # noqa: PLC0415 - 30 MB of memory that a running platform does not need
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - same
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - same
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415 - same

    authority_key_file = files.authority.with_name("ca.key")
    if files.authority.exists() and authority_key_file.exists():
        # Keep the authority: kubeconfigs that people copied go on working.
        loaded = serialization.load_pem_private_key(authority_key_file.read_bytes(), None)
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{authority_key_file} holds another kind of key than we write")
        authority_key = loaded
    else:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "towpath cluster")])
        authority = (
            _builder(name, name, authority_key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        write_durably(authority_key_file, _private_pem(authority_key), mode=0o600)
        write_durably(files.authority, authority.public_bytes(serialization.Encoding.PEM))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(subject, authority.subject, key.public_key(), now, SERVING_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (directory / MARKER).unlink(missing_ok=True)
    write_durably(files.key, _private_pem(key), mode=0o600)
    write_durably(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    expiry = now + timedelta(days=SERVING_DAYS)
    write_durably(directory / MARKER, " ".join([expiry.isoformat(), *names]).encode())


def _builder(
    subject: "x509.Name", issuer: "x509.Name", key: "ec.EllipticCurvePublicKey", now: datetime, days: int
) -> "x509.CertificateBuilder":
    from cryptography import x509  # noqa: PLC0415 - as above

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # An hour ago: a client whose clock is a little behind must not refuse us.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*, signs_certificates: bool) -> "x509.KeyUsage":
    """What strict verifiers (RFC 5280, 4.2.1.3; Python from 3.13 on) want to be told."""
    from cryptography import x509  # noqa: PLC0415 - as above

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: "ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as above

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
