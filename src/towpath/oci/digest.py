"""Digests: the identity of every blob and manifest.

Only the algorithms registered by the OCI image specification are accepted: an unknown one could not be verified, and
what cannot be verified is never stored or run.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from towpath.oci.syntax import InvalidTextError

HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_NOT_LOWER_HEX = re.compile(r"[^0-9a-f]")


class InvalidDigestError(InvalidTextError):
    """A text that is not a digest of a registered algorithm."""


class Hasher(Protocol):
    """The part of a `hashlib` object that verification needs."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Hash more bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest so far, in lower-case hexadecimal."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """`algorithm:hex`; build it with `parse` or `of`, which validate."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:…` or `sha512:…`. Raises InvalidDigestError."""
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise InvalidDigestError("digest", text, "expected <algorithm>:<hex>, got no colon", position=len(text))
        length = HEX_LENGTHS.get(algorithm)
        if length is None:
            known = " or ".join(HEX_LENGTHS)
            raise InvalidDigestError("digest", text, f"algorithm {algorithm!r} is not {known}", position=0)
        start = len(algorithm) + 1
        wrong = _NOT_LOWER_HEX.search(encoded)
        if wrong:
            problem = "expected lower-case hexadecimal digits"
            raise InvalidDigestError("digest", text, problem, position=start + wrong.start())
        if len(encoded) != length:
            problem = f"{algorithm} has {length} hexadecimal digits, got {len(encoded)}"
            raise InvalidDigestError("digest", text, problem, position=start + min(len(encoded), length))
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """The digest of these bytes."""
        return cls(algorithm, hashlib.new(algorithm, content, usedforsecurity=True).hexdigest())

    def hasher(self) -> Hasher:
        """A fresh hasher of this digest's algorithm, for content that arrives in pieces."""
        return hashlib.new(self.algorithm)

    def matches(self, content: bytes) -> bool:
        """Whether these bytes are the ones this digest names."""
        return Digest.of(content, self.algorithm) == self

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
