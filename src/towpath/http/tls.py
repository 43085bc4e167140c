"""The TLS side of a listener: a certificate that is taken up anew when its files change.

Renewing tools (certbot, cert-manager, step) replace files and tell nobody. The files' stamps are looked at when a
client says hello, so the next connection after a renewal has the new certificate, without a timer and without a
restart. A pair that cannot be used, such as a certificate whose key is still on its way, is reported once, and the old
pair serves on.
"""

import contextlib
import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

# A handshake has two round trips at most.
_HANDSHAKE_TURNS = 4
# X509_V_ERR_CERT_HAS_EXPIRED, of OpenSSL's x509_vfy.h.
_EXPIRED = frozenset({10})

_Stamp = tuple[tuple[int, int, int], ...]


class ServerCertificate:
    """A certificate and its key, PEM files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Name the files; nothing is read yet."""
        self.certificate = certificate
        self.key = key
        self._stamp: _Stamp = ()
        self._current: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """What a listener is given. Raises OSError, ssl.SSLError when the files cannot be used."""
        self._stamp = self._read_stamp()
        self._current = self._load()
        return self._current

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.sni_callback = self._greet  # called for every hello, with a server name or without
        return context

    def _greet(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        self._refresh()
        if self._current is not None:
            connection.context = self._current

    def _refresh(self) -> None:
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._current = self._load()
        except (OSError, ssl.SSLError) as error:
            # Without its files a stamp cannot be read, so this may come again with each hello until they are back.
            if self._stamp:
                log.warning("certificate %s cannot be taken up (%s); the old one is served", self.certificate, error)
            self._stamp = self._stamp if isinstance(error, ssl.SSLError) else ()
        else:
            log.info("certificate %s was renewed", self.certificate)

    def _read_stamp(self) -> _Stamp:
        found = (self.certificate.stat(), self.key.stat())
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def find_mismatch(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Why a client that trusts as `client` does would not believe that a server is `name`; empty when it would.

    The two shake hands in memory: what a client would say is known before the first one comes.
    """
    try:
        _shake_hands(server, client, name)
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message)
    except ssl.SSLError as error:
        return str(error.reason or error)
    return ""


def find_expiry(certificate: Path, key: Path) -> float | None:
    """When a certificate ends (wall time); None when it cannot be read."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    try:
        trusting.load_verify_locations(cafile=certificate)
        trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        shown = _shake_hands(ServerCertificate(certificate, key).context(), trusting, None)
    except ssl.SSLCertVerificationError as error:
        # The only thing that a certificate which vouches for itself can be wrong about is the time.
        return 0.0 if error.verify_code in _EXPIRED else None
    except (OSError, ssl.SSLError):
        return None
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> dict[str, object]:
    """The certificate that the client was shown. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(_HANDSHAKE_TURNS):
        for side in (asking, serving):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return dict(asking.getpeercert() or {})
