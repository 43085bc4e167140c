"""Whether and how a platform's own port speaks TLS: with a certificate of its own authority, or with one that is given.

The authority is that of the embedded cluster, so that one file is trusted for both. Beyond loopback TLS is the rule:
passwords and tokens would cross the network in clear text. What the platform's own parts trust is the system's
authorities and the one that vouches for the platform.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from towpath.errors import UserError
from towpath.http.hosts import is_loopback_host, split_port
from towpath.http.tls import ServerCertificate, find_expiry, find_mismatch
from towpath.server.accesschecks import judge_certificate
from towpath.server.authorities import trusting
from towpath.server.doctor import WARNING, Check
from towpath.server.owncertificate import ensure_own_certificate
from towpath.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Encryption:
    """The TLS side of a platform.

    Attributes:
        certificate: what the listener shows.
        key: its key.
        trusted: the file that a client is to trust: the authority of ours, or the given certificate.
        name: the name that the certificate is good for.
        trust: what our own clients trust.
    """

    certificate: Path
    key: Path
    trusted: Path
    name: str
    trust: ssl.SSLContext


def prepare_encryption(settings: Settings, *, now: float) -> Encryption | None:
    """The TLS side of a platform; None for clear text.

    Raises:
        UserError: the options make no sense together, clear text would cross a network unasked, or the certificate
            cannot be used.
        TowpathError: the disk refused.
    """
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        missing = "--tls-key" if settings.tls_certificate else "--tls-cert"
        raise UserError(f"{missing} is missing (Usage): a certificate and its key go together")
    if not settings.uses_tls:
        _refuse_clear_text(settings)
        return None
    name = split_port(settings.registry_host)
    if settings.tls_certificate and settings.tls_key:
        return _use(settings.tls_certificate, settings.tls_key, name)
    made = ensure_own_certificate(
        settings.state / "tls",
        names=[name, settings.host],
        now=now,
        authority=settings.state / "cluster" / "pki",
    )
    return Encryption(made.certificate, made.key, made.authority, name, trusting(made.authority))


def examine_encryption(encryption: Encryption | None, *, now: float) -> list[Check]:
    """What `doctor` says of the certificate; nothing where there is none."""
    if encryption is None:
        return []
    expires_at = find_expiry(encryption.certificate, encryption.key)
    if expires_at is None:
        return [Check("certificate", WARNING, f"{encryption.certificate} cannot be read", "put it back")]
    return [judge_certificate(expires_at, now=now, own=encryption.trusted != encryption.certificate)]


def _use(certificate: Path, key: Path, name: str) -> Encryption:
    try:
        served = ServerCertificate(certificate, key).context()
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"certificate {certificate} cannot be used (BadCertificate): {error}", hint=f"check it and {key}"
        ) from error
    trust = trusting(certificate)
    mismatch = find_mismatch(served, trust, name)
    if mismatch:
        raise UserError(
            f"certificate {certificate} cannot be used (Mismatch): {mismatch}",
            hint="name the address that it is for with --advertise NAME:PORT; images are pulled from there",
        )
    return Encryption(certificate, key, certificate, name, trust)


def _refuse_clear_text(settings: Settings) -> None:
    in_pod = settings.outside is not None and settings.outside.kubeconfig is None  # what is in front of it is not ours
    if is_loopback_host(settings.host) or settings.insecure_http or settings.plain_http or in_pod:
        return
    raise UserError(
        f"platform cannot listen at {settings.host} (ClearText): passwords would cross the network unencrypted",
        hint="add --tls, or --tls-cert and --tls-key; --insecure-http where the network or a proxy protects them",
    )
