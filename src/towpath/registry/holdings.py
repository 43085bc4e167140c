"""What a registry's storage holds at a moment, in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holdings:
    """Blobs that are stored, and uploads that have begun and not ended."""

    blobs: int
    blob_bytes: int
    uploads: int
