"""When to pull, and with whose credentials: the kubelet's rules (pure)."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from enum import Enum
from typing import Any

from towpath.errors import UserError
from towpath.kube.objects import Object, find_path, name_of
from towpath.oci.keyring import Keyring
from towpath.oci.reference import DEFAULT_TAG, Reference

_KEYS = (".dockerconfigjson", ".dockercfg")


class Pull(Enum):
    """What to do about an image."""

    USE = "use what is here"
    PULL = "pull"
    REFUSE = "not here, and may not be pulled"


def default_policy(reference: Reference) -> str:
    """`Always` for `latest` and no tag, else `IfNotPresent`."""
    floating = reference.digest is None and reference.tag in {"", DEFAULT_TAG}
    return "Always" if floating else "IfNotPresent"


def plan_pull(policy: str, *, present: bool) -> Pull:
    """What `imagePullPolicy` asks for."""
    if policy == "Always":
        return Pull.PULL
    if present:
        return Pull.USE
    return Pull.REFUSE if policy == "Never" else Pull.PULL


def credential_marks(keyring: Keyring, reference: Reference, *, salt: str) -> frozenset[str]:
    """The credentials a pod has for an image, as marks that tell nothing of them; empty for none."""
    return frozenset(
        hashlib.blake2b(f"{one.username}\0{one.password}".encode(), key=salt.encode()[:64], digest_size=16).hexdigest()
        for one in keyring.find(reference)
    )


def is_accessible(granted: Iterable[frozenset[str]] | None, marks: frozenset[str]) -> bool:
    """Whether a pod with these credentials may use an image without asking its registry.

    Args:
        granted: with which credentials, all of each set at hand, the image was pulled; None when that is not known.
        marks: the pod's.
    """
    return granted is None or any(one <= marks for one in granted)


def pull_secret_names(pod: Object, service_account: Object | None) -> list[str]:
    """The pull secrets of a pod: its own, else (as admission adds them) its service account's."""
    own = _names(find_path(pod, "spec", "imagePullSecrets"))
    return own or _names((service_account or {}).get("imagePullSecrets"))


def read_keyring(secrets: Iterable[Object]) -> tuple[Keyring, list[str]]:
    """One keyring of all pull secrets, and what is wrong with those that cannot be read."""
    keyrings, problems = [], []
    for secret in secrets:
        data = secret.get("data") or {}
        content = next((data[key] for key in _KEYS if data.get(key)), None)
        if content is None:
            problems.append(f"secret {name_of(secret)}: it has no {_KEYS[0]}")
            continue
        try:
            keyrings.append(Keyring.parse(base64.b64decode(content, validate=True)))
        except (UserError, binascii.Error) as error:
            problems.append(f"secret {name_of(secret)}: {error}")
    return Keyring.merge(keyrings), problems


def _names(references: Any) -> list[str]:
    return [reference["name"] for reference in references or [] if reference.get("name")]
