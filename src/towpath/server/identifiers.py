"""Identifiers that must be unlike any other: the only place that asks the system for randomness to name things."""

import secrets
import uuid

# Five characters for generated names, from upstream's alphabet: no vowels, so that no word comes out.
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5


def new_uid() -> str:
    """A fresh UUID, as text."""
    return str(uuid.uuid4())


def random_suffix() -> str:
    """The end of a generated name."""
    return "".join(secrets.choice(SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))
