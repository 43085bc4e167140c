"""Which images this node has: by digest, with the names they were pulled under, on disk.

One small JSON file an image, written once at the pull; a damaged file is an image that is not there. What a tag meant
at the last pull is remembered, as a kubelet's runtime does, because `IfNotPresent` asks for it.
"""

import json
import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from towpath.aio.files import write_durably
from towpath.errors import UserError
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config, parse_image_config
from towpath.oci.reference import Reference

log = logging.getLogger(__name__)

# 32: as many namespaces with credentials of their own as run one image.
MOST_GRANTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """An image whose layers are unpacked.

    `digest` is what its reference resolved to, `size` what manifest, configuration and layers weigh in the registry,
    `granted` with which credentials it was pulled (`policy.is_accessible`), `used_at` is in epoch seconds.
    """

    name: str  # registry/repository
    digest: Digest
    config: ImageConfig
    tags: tuple[str, ...] = ()
    size: int = 0
    granted: tuple[frozenset[str], ...] | None = None
    used_at: float = 0.0

    @property
    def image_id(self) -> str:
        """`status.imageID`: `<name>@sha256:…`."""
        return f"{self.name}@{self.digest}"


class Catalogue:
    """The images of this node. One event loop; the files are small."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._images: dict[tuple[str, Digest], LocalImage] = {}
        for path in directory.glob("*.json"):
            try:
                image = _parse(path.read_bytes())
            except (OSError, ValueError, KeyError, UserError) as error:
                log.warning("image record %s is unreadable and dropped: %s", path.name, error)
                path.unlink(missing_ok=True)
                continue
            self._images[image.name, image.digest] = image

    def __iter__(self) -> Iterator[LocalImage]:
        return iter(list(self._images.values()))

    def find(self, reference: Reference) -> LocalImage | None:
        """The image a reference means here: by its digest, else by what its tag meant at the last pull."""
        if reference.digest is not None:
            return self._images.get((reference.name, reference.digest))
        return next(
            (
                image
                for image in self._images.values()
                if image.name == reference.name and reference.target in image.tags
            ),
            None,
        )

    def find_digest(self, reference: Reference, digest: Digest) -> LocalImage | None:
        """The image of this repository with that digest."""
        return self._images.get((reference.name, digest))

    def add(
        self, reference: Reference, digest: Digest, config: ImageConfig, *, now: float, size: int = 0
    ) -> LocalImage:
        """Remember an image; its tag, if the reference has one, means it from here on."""
        known = self._images.get((reference.name, digest))
        image = known or LocalImage(name=reference.name, digest=digest, config=config, size=size)
        tag = reference.tag if reference.digest is not None else reference.target
        if tag and tag not in image.tags:
            for other in list(self._images.values()):
                if other.name == image.name and tag in other.tags:
                    self._keep(replace(other, tags=tuple(name for name in other.tags if name != tag)))
            image = replace(image, tags=(*image.tags, tag))
        if image is not known:
            self._keep(image)
        return self.touch(image, now=now)

    def touch(self, image: LocalImage, *, now: float) -> LocalImage:
        """Note a use, in memory: a write for each start would wear flash."""
        used = replace(self._images.get((image.name, image.digest), image), used_at=now)
        self._images[used.name, used.digest] = used
        return used

    def grant(self, image: LocalImage, marks: frozenset[str]) -> LocalImage:
        """Note that its registry gave the image to someone with these credentials."""
        known = self._images.get((image.name, image.digest), image)
        before = known.granted or ()
        if known.granted is not None and any(one <= marks for one in before):
            return known
        # Wider ones say nothing more; the newest few are kept, because passwords are renewed.
        kept = [one for one in before if not marks <= one][-(MOST_GRANTS - 1) :]
        known = replace(known, granted=(*kept, marks))
        self._keep(known)
        return known

    def prune(self, *, in_use: Collection[str], spare: int) -> list[LocalImage]:
        """Forget all images but those in use (by image id) and the `spare` most recently used others."""
        unused = [image for image in self._images.values() if image.image_id not in in_use]
        unused.sort(key=lambda image: image.used_at, reverse=True)
        forgotten = unused[spare:]
        for image in forgotten:
            del self._images[image.name, image.digest]
            self._path(image).unlink(missing_ok=True)
        return forgotten

    def _keep(self, image: LocalImage) -> None:
        self._images[image.name, image.digest] = image
        write_durably(self._path(image), _format(image))

    def _path(self, image: LocalImage) -> Path:
        return self._directory / f"{Digest.of(image.name.encode()).hex[:8]}-{image.digest.hex}.json"


def _format(image: LocalImage) -> bytes:
    document = {
        "name": image.name,
        "digest": str(image.digest),
        "tags": list(image.tags),
        "size": image.size,
        "granted": None if image.granted is None else [sorted(one) for one in image.granted],
        "config": json.loads(format_image_config(image.config)),
    }
    return json.dumps(document, sort_keys=True).encode()


def _parse(content: bytes) -> LocalImage:
    document = json.loads(content)
    granted = document.get("granted")
    return LocalImage(
        name=document["name"],
        digest=Digest.parse(document["digest"]),
        config=parse_image_config(json.dumps(document["config"]).encode()),
        tags=tuple(document["tags"]),
        size=int(document.get("size", 0)),
        granted=None if granted is None else tuple(frozenset(one) for one in granted),
    )
