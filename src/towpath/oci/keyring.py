"""Pull secrets (`kubernetes.io/dockerconfigjson`), matched to images exactly as a kubelet matches them.

The kubelet's rules, including the surprising ones: a key is `host[:port][/path]` after its scheme and a leading `/v1/`
or `/v2/` are dropped; ports must be equal; hosts must have the same number of dot-separated parts, each of which may be
a glob; the path is a plain text prefix (`ghcr.io/acme` also matches `ghcr.io/acme-evil/x`); keys are tried in reverse
order, so longer paths come first; all matching credentials are tried in turn; no match means an anonymous pull.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Self

import orjson

from towpath.errors import UserError
from towpath.oci.reference import DEFAULT_REGISTRY, Reference

# Where `docker login` files the credentials of Docker Hub.
DOCKER_HUB_KEY = "index.docker.io"


class InvalidPullSecretError(UserError):
    """A pull secret that cannot be read. The message names keys and never credentials."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"pull secret is invalid (DockerConfig): {problem}",
            hint='expected {"auths": {"<registry>": {"auth": "<base64 of user:password>"}}}',
        )


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and a password; the password never shows in a representation."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Credentials by registry key, in the order in which a kubelet tries them."""

    entries: tuple[tuple[str, Credential], ...] = ()

    @classmethod
    def of(cls, entries: Mapping[str, Credential]) -> Self:
        """A keyring of `{key: credential}`; keys as in a Docker configuration file."""
        normalised = [(normalise_key(key), credential) for key, credential in entries.items()]
        return cls(tuple(sorted(normalised, key=lambda entry: entry[0], reverse=True)))

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read the value of `.dockerconfigjson`; the older bare map of `.dockercfg` is accepted too.

        Raises:
            InvalidPullSecretError: naming the key that is wrong.
        """
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise InvalidPullSecretError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
        if not isinstance(document, dict):
            raise InvalidPullSecretError("expected an object")
        auths = document.get("auths", document)
        if not isinstance(auths, dict):
            raise InvalidPullSecretError("auths: expected an object")
        return cls.of({key: _read_credential(key, entry) for key, entry in auths.items()})

    @classmethod
    def merge(cls, keyrings: Iterable["Keyring"]) -> Self:
        """One keyring of several, as for a pod with several pull secrets; earlier ones win among equal keys."""
        entries = [entry for keyring in keyrings for entry in keyring.entries]
        return cls(tuple(sorted(entries, key=lambda entry: entry[0], reverse=True)))

    def find(self, reference: Reference) -> list[Credential]:
        """Every credential to try for this image, first to last; empty means: pull anonymously."""
        found = [credential for key, credential in self.entries if matches(key, reference.name)]
        if not found and reference.registry == DEFAULT_REGISTRY:
            found = [credential for key, credential in self.entries if key.partition("/")[0] == DOCKER_HUB_KEY]
        return list(dict.fromkeys(found))


def format_docker_config(entries: Mapping[str, Credential]) -> bytes:
    """The value of `.dockerconfigjson` for these credentials; the inverse of `Keyring.parse`."""
    auths = {
        key: {
            "username": credential.username,
            "password": credential.password,
            "auth": base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode(),
        }
        for key, credential in entries.items()
    }
    return orjson.dumps({"auths": auths}, option=orjson.OPT_SORT_KEYS)


def normalise_key(key: str) -> str:
    """`https://ghcr.io/v2/` becomes `ghcr.io`, and `https://ghcr.io/v2/acme` becomes `ghcr.io/acme`."""
    key = key.removeprefix("https://").removeprefix("http://")
    host, slash, path = key.partition("/")
    for version in ("v1/", "v2/"):
        path = path.removeprefix(version)
    return f"{host}{slash}{path}" if path else host


def matches(key: str, name: str) -> bool:
    """Whether a normalised key applies to an image name (`registry/repository`)."""
    key_host, _, key_path = key.partition("/")
    host, _, path = name.partition("/")
    key_domain, _, key_port = key_host.partition(":")
    domain, _, port = host.partition(":")
    key_parts, parts = key_domain.split("."), domain.split(".")
    if key_port != port or len(key_parts) != len(parts) or not path.startswith(key_path):
        return False
    return all(fnmatchcase(part, pattern) for pattern, part in zip(key_parts, parts, strict=True))


def _read_credential(key: str, entry: Any) -> Credential:
    if not isinstance(entry, dict):
        raise InvalidPullSecretError(f"auths[{key!r}]: expected an object")
    for name in ("auth", "username", "password"):
        if not isinstance(entry.get(name, ""), str):
            raise InvalidPullSecretError(f"auths[{key!r}].{name}: expected a text")
    if not entry.get("auth"):
        return Credential(entry.get("username", ""), entry.get("password", ""))
    try:
        username, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidPullSecretError(f"auths[{key!r}].auth: expected base64 of user:password") from error
    if not colon:
        raise InvalidPullSecretError(f"auths[{key!r}].auth: expected base64 of user:password, got no colon")
    return Credential(username, password)
