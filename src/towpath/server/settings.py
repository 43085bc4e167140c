"""How one platform is to run.

Settings come from the command line and the platform repository; nothing is read from the environment behind the user's
back.
"""

from dataclasses import dataclass
from pathlib import Path

from towpath.config import DEFAULT_HOST, DEFAULT_KUBE_PORT, DEFAULT_NAMESPACE, DEFAULT_PORT, STATE_DIRECTORY
from towpath.http.hosts import is_loopback


@dataclass(frozen=True, slots=True)
class OutsideCluster:
    """A Kubernetes that is not ours, to run on.

    Attributes:
        kubeconfig: the file that says where it is; None for the service account of the pod this process is.
        context: which of the file's contexts; empty for its current one.
        namespace: where the platform keeps what is its own: the inventories.
    """

    kubeconfig: Path | None = None
    context: str = ""
    namespace: str = DEFAULT_NAMESPACE


@dataclass(frozen=True, slots=True)
class Settings:
    """One platform.

    Attributes:
        root: the working copy of the platform repository.
        host: where to listen; loopback unless the user says otherwise.
        port: of Git, registry, webhooks and API.
        kube_port: of the Kubernetes API.
        branch: the branch that is built and reconciled.
        remote: the URL of an outside repository to follow instead of hosting one; empty to host.
        remote_user: the user name for it, with a token.
        remote_token_file: the file that holds the access token for it; None for none.
        poll_seconds: the floor under webhooks when following an outside repository.
        isolation: how pods are kept apart, if it is to be less than the machine offers; empty for its best.
        outside: the cluster to run on instead of the embedded one; None for the embedded one.
        embedded: the embedded cluster is meant, even where an outside one was used before.
        advertise: the `host[:port]` at which nodes and clients reach this platform; empty for where it listens.
        plain_http: that address is spoken to without TLS though it is not loopback.
        tls: the port speaks TLS, with a certificate of the platform's own authority.
        tls_certificate: the port speaks TLS with this certificate; with `tls_key`.
        tls_key: see `tls_certificate`.
        insecure_http: clear text beyond loopback is meant.
        anonymous_pull: repositories of the registry, by glob, that everybody may pull from.
        upstreams: prefixes of the registry that are filled from others, as `PREFIX=REGISTRY[/PATH]`.
        mend_from: prefixes whose damaged content is fetched from others, in the same form.
        upstream_logins: the file with the logins for both, as docker writes it; None to ask without one.
        notify: whom to tell of pushes, by URL.
        notify_secret_file: what holds the secret that signs what they are told; None for one that is made.
        access_log: where each request of the registry is noted, a file, or `-` for standard error; empty for nowhere.
    """

    root: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    kube_port: int = DEFAULT_KUBE_PORT
    branch: str = "main"
    remote: str = ""
    remote_user: str = "git"
    remote_token_file: Path | None = None
    poll_seconds: float = 60.0
    isolation: str = ""
    outside: OutsideCluster | None = None
    embedded: bool = False
    advertise: str = ""
    plain_http: bool = False
    tls: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    insecure_http: bool = False
    anonymous_pull: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    mend_from: tuple[str, ...] = ()
    upstream_logins: Path | None = None
    access_log: str = ""
    notify: tuple[str, ...] = ()
    notify_secret_file: Path | None = None

    @property
    def uses_tls(self) -> bool:
        """Whether the port speaks TLS."""
        return self.tls or self.tls_certificate is not None

    @property
    def registry_host(self) -> str:
        """`host[:port]` of the registry, as it stands in manifests and pull secrets."""
        return self.advertise or self.address

    def speaks_plain_http(self, registry: str) -> bool:
        """Whether a registry is spoken to without TLS: loopback unless it is ours with TLS, ours as the user says."""
        if registry == self.registry_host and self.uses_tls:
            return False
        return is_loopback(registry) or (self.plain_http and registry == self.registry_host)

    @property
    def external_url(self) -> str:
        """Where clients come from when a proxy ends TLS: the advertised address. Empty where none does."""
        if not self.advertise or self.uses_tls or self.speaks_plain_http(self.advertise):
            return ""
        return f"https://{self.advertise}"

    @property
    def address(self) -> str:
        """`host:port` of Git, registry, webhooks and API."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"{'https' if self.uses_tls else 'http'}://{self.address}"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / STATE_DIRECTORY
