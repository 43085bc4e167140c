"""The kubeconfig file: which server, trusted how, as whom. Pure; `target` reads the files.

Rules, as client-go's:
 * of several files the first to name a cluster, user, context or current context wins;
 * relative paths are relative to the file that names them;
 * inline `…-data` wins over a path to a file.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import yaml

from towpath.errors import UserError


class KubeconfigError(UserError):
    """The kubeconfig is missing, malformed, or asks for what this client cannot do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the API server is, and how it proves to be it."""

    server: str  # without a trailing slash
    authority: bytes = b""  # PEM
    authority_file: str = ""
    insecure: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecPlugin:
    """A program that prints credentials (client.authentication.k8s.io)."""

    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    provide_cluster_info: bool = False
    install_hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks. No secret shows in a representation."""

    token: str = field(default="", repr=False)
    token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    certificate: bytes = b""  # PEM
    certificate_file: str = ""
    key: bytes = field(default=b"", repr=False)  # PEM
    key_file: str = ""
    exec: ExecPlugin | None = None
    impersonate: str = ""
    impersonate_uid: str = ""
    impersonate_groups: tuple[str, ...] = ()
    impersonate_extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """One context, resolved: all that a connection needs to know."""

    name: str
    cluster: Cluster
    user: User
    namespace: str = "default"


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """One or several files, merged. Entries are decoded when they are selected, so that a bad one hurts nobody else."""

    current: str
    clusters: Mapping[str, "Entry"]
    users: Mapping[str, "Entry"]
    contexts: Mapping[str, "Entry"]

    def select(self, context: str = "") -> Target:
        """The target of a context, by default of the current one.

        Raises:
            KubeconfigError: there is no such context, or it is incomplete or malformed.
        """
        name = context or self.current
        if not name:
            raise KubeconfigError(
                "kubeconfig has no context to use (NoContext): current-context is not set", hint=_choices(self.contexts)
            )
        chosen = _find(self.contexts, "context", name)
        cluster = _find(self.clusters, "cluster", chosen.text("cluster"))
        user_name = chosen.text("user")
        user = parse_user(_find(self.users, "user", user_name)) if user_name else User()
        return Target(name, parse_cluster(cluster), user, chosen.text("namespace") or "default")


@dataclass(frozen=True, slots=True)
class Entry:
    """A named entry as written, and the file it came from."""

    name: str
    source: str
    body: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A string field. Raises KubeconfigError for any other type."""
        value = self.body.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.fault(f"{key} must be a string, not {type(value).__name__}")
        if "\0" in value:
            raise self.fault(f"{key} has a NUL character")
        return value

    def items(self, key: str) -> list[Any]:
        """A list. Raises KubeconfigError for any other type."""
        value = self.body.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(f"{key} must be a list, not {type(value).__name__}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; numbers that somebody forgot to quote are strings too. Raises KubeconfigError."""
        return tuple(self._plain(key, one) for one in self.items(key))

    def mapping(self, key: str) -> Mapping[str, Any] | None:
        """A mapping, if there is one. Raises KubeconfigError for any other type."""
        value = self.body.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.fault(f"{key} must be a mapping, not {type(value).__name__}")
        return value

    def address(self, key: str, *, schemes: tuple[str, ...]) -> str:
        """A URL of one of these schemes, with a host and a port that can be. Raises KubeconfigError."""
        value = self.text(key).rstrip("/")
        # What stands before an @ may be a password.
        shown = re.sub("//[^/@]*@", "//…@", value)
        wrong = f"{key} must be an {' or '.join(schemes)} address, not {shown!r}"
        try:
            parts = urlsplit(value)
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError as error:  # of a port or a bracket
            raise self.fault(wrong) from error
        # Only as it is written: others ask for `https://` to know whether TLS is spoken.
        usable = usable and value.startswith(tuple(f"{scheme}://" for scheme in schemes))
        if not usable or not value.isprintable() or " " in value:
            raise self.fault(wrong)
        return value

    def _plain(self, key: str, value: object) -> str:
        if not isinstance(value, str | int | float) or "\0" in str(value):
            raise self.fault(f"{key} must be a list of strings, not of {type(value).__name__}")
        return str(value)

    def flag(self, key: str) -> bool:
        """A boolean field. Raises KubeconfigError for any other type."""
        value = self.body.get(key, False)
        if not isinstance(value, bool):
            raise self.fault(f"{key} must be true or false, not {value!r}")
        return value

    def path(self, key: str) -> str:
        """A path, made relative to the file that names it."""
        value = self.text(key)
        return str(PurePath(self.source).parent / value) if value else ""

    def data(self, key: str) -> bytes:
        """A base64 field. Raises KubeconfigError when it is none."""
        try:
            return base64.b64decode(self.text(key), validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.fault(f"{key} is not base64") from error

    def fault(self, text: str) -> KubeconfigError:
        """An error about this entry."""
        return KubeconfigError(f"{self.source}: entry {self.name!r} is malformed (BadKubeconfig): {text}")


def parse_kubeconfig(content: bytes, *, source: str) -> Kubeconfig:
    """One file. Raises KubeconfigError when it is no kubeconfig; entries are checked when selected."""
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f"{source}:{place.line + 1}" if place else source
        raise KubeconfigError(f"{where}: kubeconfig cannot be read (BadYaml): {_problem(error)}") from error
    except (ValueError, RecursionError) as error:  # a date with a 13th month, brackets without end
        raise KubeconfigError(f"{source}: kubeconfig cannot be read (BadYaml): {error}") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise KubeconfigError(f"{source}: kubeconfig cannot be read (BadKubeconfig): expected a mapping at the top")
    return Kubeconfig(
        current=str(document.get("current-context") or ""),
        clusters=_entries(document, "clusters", "cluster", source),
        users=_entries(document, "users", "user", source),
        contexts=_entries(document, "contexts", "context", source),
    )


def merge_kubeconfigs(configs: Iterable[Kubeconfig]) -> Kubeconfig:
    """Several files as one: the first to name something wins."""
    current = ""
    clusters: dict[str, Entry] = {}
    users: dict[str, Entry] = {}
    contexts: dict[str, Entry] = {}
    for config in configs:
        current = current or config.current
        for merged, found in ((clusters, config.clusters), (users, config.users), (contexts, config.contexts)):
            for name, entry in found.items():
                merged.setdefault(name, entry)
    return Kubeconfig(current, clusters, users, contexts)


def parse_cluster(entry: Entry) -> Cluster:
    """A cluster entry. Raises KubeconfigError."""
    server = entry.address("server", schemes=("http", "https"))
    authority = entry.data("certificate-authority-data")
    insecure = entry.flag("insecure-skip-tls-verify")
    if insecure and (authority or entry.text("certificate-authority")):
        raise entry.fault("a certificate authority and insecure-skip-tls-verify exclude each other")
    return Cluster(
        server=server,
        authority=authority,
        authority_file="" if authority else entry.path("certificate-authority"),
        insecure=insecure,
        tls_server_name=entry.text("tls-server-name"),
        proxy_url=entry.address("proxy-url", schemes=("http", "https")) if entry.text("proxy-url") else "",
    )


def parse_user(entry: Entry) -> User:
    """A user entry. Raises KubeconfigError."""
    if entry.body.get("auth-provider"):
        raise entry.fault("auth-provider was removed from Kubernetes in 1.26; use an exec plugin")
    certificate, key = entry.data("client-certificate-data"), entry.data("client-key-data")
    certificate_file = "" if certificate else entry.path("client-certificate")
    key_file = "" if key else entry.path("client-key")
    if bool(certificate or certificate_file) != bool(key or key_file):
        raise entry.fault("client-certificate and client-key belong together")
    groups = entry.texts("as-groups")
    reasons = Entry(entry.name, entry.source, entry.mapping("as-user-extra") or {})
    extra = {str(name): reasons.texts(name) for name in reasons.body}
    if (groups or extra or entry.text("as-uid")) and not entry.text("as"):
        raise entry.fault("as-uid, as-groups and as-user-extra need `as`: whom to act as")
    plugin = entry.mapping("exec")
    token_file = entry.path("tokenFile")
    return User(
        # client-go: a token file wins, because it can be rotated.
        token="" if token_file else entry.text("token"),
        token_file=token_file,
        username=entry.text("username"),
        password=entry.text("password"),
        certificate=certificate,
        certificate_file=certificate_file,
        key=key,
        key_file=key_file,
        exec=_parse_exec(Entry(entry.name, entry.source, plugin), entry) if plugin is not None else None,
        impersonate=entry.text("as"),
        impersonate_uid=entry.text("as-uid"),
        impersonate_groups=groups,
        impersonate_extra=extra,
    )


def _parse_exec(plugin: Entry, user: Entry) -> ExecPlugin:
    command = plugin.text("command")
    if not command:
        raise user.fault("exec.command is missing")
    version = plugin.text("apiVersion")
    if version not in {"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"}:
        raise user.fault(f"exec.apiVersion {version!r} is not known")
    if plugin.body.get("interactiveMode") == "Always":
        raise user.fault("exec.interactiveMode is Always, and there is nobody to ask")
    # A name with a slash is a path, relative to the file; a bare name is looked up on PATH (client-go does the same).
    if "/" in command:
        command = plugin.path("command")
    return ExecPlugin(
        api_version=version,
        command=command,
        args=plugin.texts("args"),
        env=dict(_parse_variable(plugin, item) for item in plugin.items("env")),
        provide_cluster_info=plugin.flag("provideClusterInfo"),
        install_hint=plugin.text("installHint").strip(),
    )


def _parse_variable(plugin: Entry, item: object) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise plugin.fault(f"exec.env must be a list of names and values, not of {type(item).__name__}")
    variable = Entry(plugin.name, plugin.source, item)
    name = variable.text("name")
    if not name or "=" in name:
        raise plugin.fault(f"exec.env has a variable without a name that can be: {name!r}")
    return name, variable.text("value")


def _entries(document: Mapping[str, Any], plural: str, singular: str, source: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    listed = document.get(plural) or []
    if not isinstance(listed, list):
        raise KubeconfigError(f"{source}: kubeconfig cannot be read (BadKubeconfig): {plural} must be a list")
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise KubeconfigError(f"{source}: kubeconfig cannot be read (BadKubeconfig): {plural} has an unnamed entry")
        body = item.get(singular)
        if body is None:
            body = {}
        if not isinstance(body, dict):
            raise KubeconfigError(f"{source}: {plural} entry {item['name']!r} is malformed (BadKubeconfig)")
        found.setdefault(item["name"], Entry(item["name"], source, body))
    return found


def _find(entries: Mapping[str, Entry], what: str, name: str) -> Entry:
    if name not in entries:
        raise KubeconfigError(f"kubeconfig has no {what} {name!r} (NotFound)", hint=_choices(entries))
    return entries[name]


def _choices(entries: Mapping[str, Entry]) -> str:
    if entries:
        return f"choose one of: {', '.join(sorted(entries))}"
    return "write one into the file, or name another file: kubectl config view shows what kubectl uses"


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or "not YAML")
