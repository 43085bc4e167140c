"""Platforms: which of an index's images runs here.

Names are Go's (`linux/amd64`, `linux/arm64/v8`); the names that `uname -m` prints are understood and normalised.
"""

from dataclasses import dataclass
from typing import Self

from towpath.oci.syntax import InvalidTextError

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
_PARTS = (2, 3)


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a processor. An empty variant means the architecture's default."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/architecture[/variant]`. Raises InvalidTextError."""
        parts = text.split("/")
        if len(parts) not in _PARTS or not all(parts):
            problem = "expected os/architecture or os/architecture/variant"
            raise InvalidTextError("platform", text, problem, position=len(text), hint="for example linux/amd64")
        return cls.of(os=parts[0], machine=parts[1], variant=parts[2] if len(parts) > _PARTS[0] else "")

    @classmethod
    def of(cls, *, os: str, machine: str, variant: str = "") -> Self:
        """The platform of a machine by the names it gives itself (`Linux`, `x86_64`)."""
        architecture, implied = _ARCHITECTURES.get(machine.lower(), (machine.lower(), ""))
        return cls(os.lower(), architecture, variant or implied)

    def matches(self, wanted: "Platform") -> bool:
        """Whether an image built for this platform is the one for `wanted`."""
        same_machine = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        default = _DEFAULT_VARIANTS.get(self.architecture, "")
        return same_machine and (self.variant or default) == (wanted.variant or default)

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}" + (f"/{self.variant}" if self.variant else "")
