"""Reads what a Python distribution says of itself: the METADATA file of its `.dist-info` directory. Pure."""

from dataclasses import dataclass
from email.parser import HeaderParser

# The field is free text; more than a line's worth is the licence itself, not its name.
_LONGEST_LICENSE = 100


@dataclass(frozen=True, slots=True)
class DistributionMetadata:
    """Name, version and licence of a distribution; the licence is empty when it is not given in one line."""

    name: str
    version: str
    license: str


def parse_metadata(text: str) -> DistributionMetadata | None:
    """Read METADATA; None when it lacks a name or a version."""
    headers = HeaderParser().parsestr(text)
    name, version = headers.get("Name", "").strip(), headers.get("Version", "").strip()
    if not name or not version:
        return None
    license_ = (headers.get("License-Expression") or headers.get("License") or "").strip()
    if len(license_) > _LONGEST_LICENSE or "\n" in license_ or license_.upper() == "UNKNOWN":
        license_ = ""
    return DistributionMetadata(name, version, license_)
