"""A short name for a pod template: the `pod-template-hash` of a ReplicaSet, the revision of a StatefulSet.

Equality of templates is decided by comparing them, never by this hash: the hash only names. Two templates that meet in
one name are told apart by the collision count, which changes the hash.
"""

import hashlib
import json
from typing import Any

# No vowels and no 0, 1 or 3 (apimachinery `rand.SafeEncodeString`): a hash must not spell a word.
SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
POD_TEMPLATE_HASH = "pod-template-hash"


def template_hash(template: dict[str, Any], *, collisions: int = 0) -> str:
    """At most ten characters, safe in names and label values; independent of the order of keys."""
    canonical = json.dumps([template, collisions], sort_keys=True, separators=(",", ":")).encode()
    number = int.from_bytes(hashlib.sha256(canonical).digest()[:4])
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(number))


def without_hash(template: dict[str, Any]) -> dict[str, Any]:
    """The template as it was before a Deployment added its hash label."""
    # Clients send `creationTimestamp: null` in templates; it says nothing.
    metadata = {name: value for name, value in (template.get("metadata") or {}).items() if value is not None}
    labels = {name: value for name, value in (metadata.pop("labels", None) or {}).items() if name != POD_TEMPLATE_HASH}
    if labels:
        metadata["labels"] = labels
    return {**template, "metadata": metadata}


def is_same_template(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both would make the same pods, whatever their hash labels say."""
    return without_hash(one) == without_hash(other)
