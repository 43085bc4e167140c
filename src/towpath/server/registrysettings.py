"""The settings of a registry on its own, and which of them make no sense together. What they do is `standalone`'s."""

from dataclasses import dataclass
from pathlib import Path

from towpath.errors import UserError
from towpath.http.hosts import is_loopback, is_loopback_host
from towpath.server.serving import check_serving, refuse_collection


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """One registry.

    Attributes:
        root: its directory.
        host: where to listen.
        port: the port; 0 lets the system choose.
        advertise: the `host[:port]` at which clients reach it; empty for where it listens.
        plain_http: that address is spoken to without TLS though it is not loopback.
        tls: serve TLS, with a certificate of an authority of its own unless one is given.
        tls_names: what else that certificate is good for, beside loopback, `host` and the machine's name.
        tls_certificate: with `tls_key`, the PEM files to serve TLS with; taken up anew when they change.
        tls_key: see `tls_certificate`.
        insecure_http: clear text beyond loopback is meant.
        anonymous_pull: repositories, by glob, that everybody may pull from.
        access_log: where requests are noted, a file, or `-` for standard error; empty for nowhere.
        notify: whom to tell of pushes, by URL.
        notify_secret_file: what holds the secret that signs; None for one that is made.
        quota_bytes: the most it may hold; None for no limit.
        collect_daily: remove once a day what no tag leads to.
        upstreams: prefixes that are filled from other registries, as `PREFIX=REGISTRY[/PATH]`.
        mend_from: prefixes whose damaged content is fetched from others, in the same form.
        upstream_logins: the file with the logins for both, as docker writes it; None to ask without one.
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 0
    advertise: str = ""
    plain_http: bool = False
    tls: bool = False
    tls_names: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    insecure_http: bool = False
    anonymous_pull: tuple[str, ...] = ()
    access_log: str = ""
    notify: tuple[str, ...] = ()
    notify_secret_file: Path | None = None
    quota_bytes: int | None = None
    collect_daily: bool = False
    upstreams: tuple[str, ...] = ()
    mend_from: tuple[str, ...] = ()
    upstream_logins: Path | None = None

    @property
    def uses_tls(self) -> bool:
        """Whether the port speaks TLS."""
        return self.tls or self.tls_certificate is not None

    @property
    def makes_certificate(self) -> bool:
        """Whether it serves a certificate of an authority of its own."""
        return self.tls and self.tls_certificate is None

    @property
    def external_url(self) -> str:
        """Where clients come from when a proxy ends TLS: the advertised address. Empty where none does."""
        if not self.advertise or self.uses_tls or self.plain_http or is_loopback(self.advertise):
            return ""
        return f"https://{self.advertise}"

    @property
    def tls_directory(self) -> Path:
        """Where that certificate is kept."""
        return self.root / "tls"

    @property
    def trusted(self) -> Path | None:
        """The file that a client is to trust; None for clear text."""
        if not self.makes_certificate:
            return self.tls_certificate
        from towpath.http.certificates import AUTHORITY_FILE  # noqa: PLC0415 - clear text needs none of it

        return self.tls_directory / AUTHORITY_FILE


def check_settings(settings: RegistrySettings) -> None:
    """Raise UserError when the settings make no sense together."""
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        missing = "--tls-key" if settings.tls_certificate else "--tls-cert"
        raise UserError(f"{missing} is missing (Usage): a certificate and its key go together")
    if settings.tls_names:
        _check_names(settings)
    if settings.plain_http and (settings.uses_tls or not settings.advertise):
        raise UserError(
            "--plain-http says how --advertise is spoken to (Usage): without TLS, and not in place of it",
            hint="--advertise HOST:PORT --plain-http, or leave it out",
        )
    if settings.collect_daily:
        refuse_collection(settings.root)
    check_serving(
        anonymous_pull=settings.anonymous_pull,
        upstreams=(*settings.upstreams, *settings.mend_from),
        upstream_logins=settings.upstream_logins,
        notify=settings.notify,
        notify_secret_file=settings.notify_secret_file,
    )
    if settings.uses_tls or settings.insecure_http or settings.plain_http or is_loopback_host(settings.host):
        return
    raise UserError(
        f"registry cannot listen at {settings.host} (ClearText): secrets would cross the network unencrypted",
        hint="add --tls, or --tls-cert and --tls-key; --insecure-http where the network or a proxy protects them",
    )


def _check_names(settings: RegistrySettings) -> None:
    from towpath.server.owncertificate import is_certifiable  # noqa: PLC0415 - clear text needs none of it

    if not settings.makes_certificate:
        raise UserError(
            "--tls-name asks for a certificate that is made here (Usage)", hint="add --tls, without --tls-cert"
        )
    for name in settings.tls_names:
        if not is_certifiable(name):
            raise UserError(
                f"--tls-name {name!r} is no name of a host (Usage): expected one in lower case or an address, no port",
                hint="registry.lan, or 192.168.1.10",
            )
