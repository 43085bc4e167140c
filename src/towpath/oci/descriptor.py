"""Descriptors: a pointer to content by media type, digest and size."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from towpath.oci.digest import Digest, InvalidDigestError
from towpath.oci.fields import Fields, InvalidDocumentError
from towpath.oci.platform import Platform


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What an index says of a manifest, and a manifest of its blobs. `size` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    artifact_type: str = ""
    urls: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read a JSON object. Raises InvalidDocumentError with every problem."""
        problems: list[str] = []
        found = cls.find(value, "", problems)
        if found is None or problems:
            raise InvalidDocumentError("descriptor", problems)
        return found

    @classmethod
    def find(cls, value: Any, path: str, problems: list[str]) -> Self | None:
        """Read a JSON object; notes problems and returns None when digest or size cannot be used."""
        before = len(problems)
        fields = Fields.of(value, path, problems)
        if len(problems) > before:
            return None
        media_type = fields.text("mediaType", required=True)
        size = fields.integer("size", required=True)
        if size < 0:
            fields.note("size", f"expected at least 0, got {size}")
        digest = _find_digest(fields)
        annotations = fields.text_mapping("annotations")
        platform = _find_platform(fields)
        if len(problems) > before or digest is None:
            return None
        return cls(media_type, digest, size, annotations, platform, fields.text("artifactType"), fields.texts("urls"))

    def to_json(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.urls:
            document["urls"] = list(self.urls)
        if self.platform:
            document["platform"] = {"os": self.platform.os, "architecture": self.platform.architecture}
            if self.platform.variant:
                document["platform"]["variant"] = self.platform.variant
        return document


def _find_digest(fields: Fields) -> Digest | None:
    text = fields.text("digest", required=True)
    if not text:
        return None
    try:
        return Digest.parse(text)
    except InvalidDigestError as error:
        fields.note("digest", f"{error.problem}, got {text[:80]!r}")
        return None


def _find_platform(fields: Fields) -> Platform | None:
    if not fields.has("platform"):
        return None
    found = fields.child("platform")
    return Platform(found.text("os"), found.text("architecture"), found.text("variant"))
