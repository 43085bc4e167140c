"""The TLS side of a target: whom to trust, and the client certificate."""

import ssl
import tempfile
from pathlib import Path

from towpath.kubeclient.kubeconfig import Cluster, KubeconfigError, User


def create_tls_context(cluster: Cluster, *, certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A context for one cluster; certificate and key are PEM, both empty for none.

    Raises:
        KubeconfigError: a file cannot be read, or is no certificate.
    """
    authority = cluster.authority or (_read(cluster.authority_file) if cluster.authority_file else b"")
    is_named = bool(cluster.authority or cluster.authority_file)
    try:
        # What is not ASCII is a comment between certificates, or no PEM at all. Nothing would mean the machine's own
        # trust: right only where no authority is named.
        text = authority.decode("ascii", "ignore")
        context = ssl.create_default_context(cadata=(text or "nothing") if is_named else None)
    except ssl.SSLError as error:
        named = cluster.authority_file or "certificate-authority-data"
        raise KubeconfigError(f"{named} is no certificate authority (BadCertificate): {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 turns this on; the authorities that clusters make for themselves often lack what it asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cluster.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        _load_client_certificate(context, certificate, key)
    return context


def read_client_certificate(user: User) -> tuple[bytes, bytes]:
    """A user's certificate and key as PEM; empty for none. Raises KubeconfigError."""
    certificate = user.certificate or (_read(user.certificate_file) if user.certificate_file else b"")
    key = user.key or (_read(user.key_file) if user.key_file else b"")
    return certificate, key


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL reads keys from files only; this one is the owner's alone, and gone when it has been read.
    with tempfile.NamedTemporaryFile(prefix="towpath-", suffix=".pem") as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        try:
            # Without a password OpenSSL would ask for one at the terminal, and wait.
            context.load_cert_chain(file.name, password="")
        except ssl.SSLError as error:
            raise KubeconfigError(
                f"the client certificate cannot be used (BadCertificate): {error.reason or error}",
                hint="check that client-certificate and client-key belong together, and that the key is not encrypted",
            ) from error


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{path} cannot be read (Unreadable): {error.strerror}") from error
