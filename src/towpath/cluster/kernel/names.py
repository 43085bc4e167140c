"""Generated names: `generateName` plus five characters, as upstream makes them."""

import hashlib

# Upstream's alphabet: no vowels, so no words; no 0, 1 and 3, so no confusion.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
MAX_NAME_LENGTH = 63


def generate_name(prefix: str, uid: str) -> str:
    """A name from a prefix; the suffix is drawn from `uid`, which must be fresh."""
    number = int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big")
    suffix = ""
    for _ in range(SUFFIX_LENGTH):
        number, index = divmod(number, len(ALPHABET))
        suffix += ALPHABET[index]
    return prefix[: MAX_NAME_LENGTH - SUFFIX_LENGTH] + suffix
