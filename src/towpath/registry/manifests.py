"""Manifests and tags as the registry offers them.

A manifest is stored and served as the bytes that were pushed. It is accepted when all it needs is here: configuration
and layers as blobs of the same repository (layers that must not be distributed apart), the entries of an index as its
manifests, all of it in the size that the manifest says. An entry of a set names its service, and may be in the
repository of that name beside the set's, if the pusher may read there. What other repositories hold plays no part, so
nobody learns of it by pushing. A subject may be missing: attestations are often pushed before what they attest.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import orjson

from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode
from towpath.oci.fields import SHOWN_PROBLEMS
from towpath.oci.manifest import Index, InvalidManifestError, Manifest, format_manifest, parse_manifest
from towpath.oci.reference import parse_tag
from towpath.oci.tags import is_immutable
from towpath.registry.errors import DamagedContentError, RegistryError
from towpath.registry.leases import Leases
from towpath.registry.storage.catalog import Catalog, TagHeldError, UnknownTargetsError, WrongSizesError
from towpath.registry.storage.disk import Disk
from towpath.registry.storage.files import BlobFiles
from towpath.registry.storage.rows import ManifestRow, TagMove, Target, Targets

# 4 MiB: what clients must be able to take as one manifest, so as one page of referrers too.
REFERRERS_PAGE_BYTES = 4 * 1024 * 1024
# 64 KiB: read in well under a millisecond; nearly every manifest is smaller.
LARGE_MANIFEST_BYTES = 64 * 1024
# 1 MiB: some hundred manifests.
RECENT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as pushed."""

    digest: Digest
    media_type: str
    content: bytes


class _Recent:
    """Manifests that were read since the catalog last changed: a node that watches a tag asks for one many times."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], StoredManifest] = {}
        self._bytes = 0
        self._generation = -1

    def find(self, key: tuple[str, str], generation: int) -> StoredManifest | None:
        """What was read under this name, if nothing has changed since."""
        return self._kept.get(key) if generation == self._generation else None

    def keep(self, key: tuple[str, str], generation: int, manifest: StoredManifest) -> None:
        """Keep what was read after the catalog had come to this generation."""
        if len(manifest.content) > LARGE_MANIFEST_BYTES:
            return
        if generation != self._generation or self._bytes > RECENT_BYTES:
            self._kept.clear()
            self._bytes, self._generation = 0, generation
        self._bytes += len(manifest.content)
        self._kept[key] = manifest


@dataclass(frozen=True, slots=True)
class AcceptedManifest:
    """The result of a push; `subject` is empty for most."""

    digest: Digest
    subject: str
    moves: list[TagMove]


class Manifests:
    """The manifests of one registry. All errors are RegistryError, StorageError or DamagedContentError."""

    def __init__(self, *, catalog: Catalog, files: BlobFiles, disk: Disk, leases: Leases) -> None:
        self._catalog = catalog
        self._files = files
        self._disk = disk
        self._leases = leases
        self._recent = _Recent()

    def get(self, repository: str, reference: str) -> StoredManifest:
        """A manifest by tag or digest. Raises RegistryError (NAME_UNKNOWN, MANIFEST_UNKNOWN)."""
        generation = self._catalog.generation
        kept = self._recent.find((repository, reference), generation)
        is_here = kept and self._leases.touch(repository, str(kept.digest))
        # Touched first and looked at second: a collection that came in between has changed the catalog.
        if kept and is_here and self._catalog.generation == generation:
            return kept
        found = self._look_up(repository, reference)
        self._recent.keep((repository, reference), generation, found)
        return found

    def _look_up(self, repository: str, reference: str) -> StoredManifest:
        text = reference if ":" in reference else self._catalog.find_tag(repository, parse_tag(reference))
        # Who reads it may be about to pull, to pin or to mirror it: no collection takes it away from then on.
        is_here = text and self._leases.touch(repository, text)
        row = self._catalog.find_manifest(repository, text) if text and is_here else None
        if row is None:
            raise self._unknown(repository, reference)
        digest = Digest.parse(row.digest)
        if not digest.matches(row.content):
            raise DamagedContentError(f"manifest {digest} of {repository} is damaged (DigestMismatch): push it again")
        return StoredManifest(digest, row.media_type, row.content)

    async def put(
        self,
        repository: str,
        content: bytes,
        *,
        media_type: str,
        digest: Digest | None,
        tags: Sequence[str],
        may_read: Callable[[str], bool] = lambda _: False,
    ) -> AcceptedManifest:
        """Store a manifest and set its tags, all or nothing, durably.

        Args:
            repository: where.
            content: the manifest as received.
            media_type: its content type; empty when the client sent none.
            digest: what the client says its digest is; None when it pushes by tag.
            tags: the tags to set.
            may_read: in which other repositories entries of a set may be.

        Raises:
            RegistryError: MANIFEST_INVALID (a wrong size, too), DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN, or DENIED for an
                immutable tag.
        """
        found, parsed = await self._read(content, media_type, digest)
        row = _prepare_row(found, content, parsed)
        blobs = _needed_blobs(parsed)
        entries = parsed.manifests if isinstance(parsed, Index) else ()
        children = [
            Target(str(entry.digest), entry.size, _find_beside(repository, entry, may_read)) for entry in entries
        ]
        targets = Targets(_targets(blobs), children, _targets(_foreign_blobs(parsed)))

        def work() -> list[TagMove]:
            self._leases.touch(repository, row.digest)
            missing = [str(blob.digest) for blob in blobs if not self._is_whole(blob.digest)]
            if missing:
                raise UnknownTargetsError(missing)
            return self._catalog.put_manifest(repository, row, targets=targets, tags=tags, is_immutable=is_immutable)

        try:
            moves = await self._disk.commit(work)
        except UnknownTargetsError as error:
            shown = error.targets[:SHOWN_PROBLEMS]
            rest = f" and {len(error.targets) - len(shown)} more" if len(error.targets) > len(shown) else ""
            message = f"manifest refers to what {repository} does not have: {', '.join(shown)}{rest}"
            raise RegistryError(ErrorCode.MANIFEST_BLOB_UNKNOWN, message, detail=shown) from error
        except WrongSizesError as error:
            raise _wrong_sizes(error) from error
        except TagHeldError as error:
            raise _held(error, found) from error
        return AcceptedManifest(found, row.subject, moves)

    async def keep(
        self, repository: str, content: bytes, *, media_type: str, digest: Digest, tags: Sequence[str]
    ) -> None:
        """Store a copy of another registry's manifest as `put` does; what it refers to may come later, or never.

        Raises:
            RegistryError: MANIFEST_INVALID, DIGEST_INVALID, or DENIED for an immutable tag.
        """
        found, parsed = await self._read(content, media_type, digest)
        row = _prepare_row(found, content, parsed)
        entries = parsed.manifests if isinstance(parsed, Index) else ()
        targets = Targets(_targets(_needed_blobs(parsed)), _targets(entries), sparse=True)

        def work() -> None:
            self._leases.touch(repository, row.digest)
            self._catalog.put_manifest(repository, row, targets=targets, tags=tags, is_immutable=is_immutable)

        try:
            await self._disk.commit(work)
        except TagHeldError as error:
            raise _held(error, found) from error

    async def delete(self, repository: str, reference: str) -> None:
        """Delete a tag, or a manifest by digest with all its tags. Raises RegistryError (MANIFEST_UNKNOWN)."""
        if ":" in reference:
            work = partial(self._catalog.delete_manifest, repository, str(Digest.parse(reference)))
        else:
            work = partial(self._catalog.delete_tag, repository, parse_tag(reference))
        if not await self._disk.commit(work):
            raise self._unknown(repository, reference)

    def tags(self, repository: str, *, after: str, limit: int) -> tuple[list[str], bool]:
        """Tags in byte order, and whether there are more. Raises RegistryError (NAME_UNKNOWN)."""
        if not self._catalog.has_repository(repository):
            raise RegistryError(ErrorCode.NAME_UNKNOWN, f"repository {repository} is not known")
        found = self._catalog.tags(repository, after=after, limit=limit + 1)
        return found[:limit], len(found) > limit

    def has_tags(self, repository: str) -> bool:
        """Whether the repository has any tag."""
        return bool(self._catalog.tags(repository, after="", limit=1))

    def has_referrers(self, repository: str, subject: Digest) -> bool:
        """Whether any manifest here has this subject."""
        rows, _ = self._catalog.referrers(repository, str(subject), artifact_type="", after="", limit_bytes=0)
        return bool(rows)

    def repositories(self, may_read: Callable[[str], bool], *, after: str, limit: int) -> tuple[list[str], bool]:
        """Names of repositories that the caller may read, in byte order, and whether there are more."""
        readable = (name for name in self._catalog.repositories(after=after) if may_read(name))
        found = list(islice(readable, limit + 1))
        return found[:limit], len(found) > limit

    def referrers(
        self, repository: str, subject: Digest, *, artifact_type: str = "", after: str = ""
    ) -> tuple[bytes, str]:
        """The index of manifests whose subject is this digest, as bytes; of one type unless that is empty.

        What does not fit into one index follows on the next page: the second value is the last digest of a page that
        has a next one, to be given as `after`; else it is empty.
        """
        rows, more = self._catalog.referrers(
            repository, str(subject), artifact_type=artifact_type, after=after, limit_bytes=REFERRERS_PAGE_BYTES
        )
        entries = [
            Descriptor(
                row.media_type,
                Digest.parse(row.digest),
                row.size,
                orjson.loads(row.annotations),
                artifact_type=row.artifact_type,
            )
            for row in rows
        ]
        return format_manifest(Index(tuple(entries))), rows[-1].digest if more else ""

    async def _read(self, content: bytes, media_type: str, digest: Digest | None) -> tuple[Digest, Manifest | Index]:
        examine = partial(_examine, content, media_type, digest)
        # A manifest of megabytes takes long enough to read that others would notice.
        return await self._disk.run(examine) if len(content) > LARGE_MANIFEST_BYTES else examine()

    def _is_whole(self, digest: Digest) -> bool:
        """Whether a blob's file is as long as it was when it came; a client that is told no sends it again."""
        size = self._files.find_size(digest)
        return size is not None and self._catalog.knows_blob(str(digest), size=size)

    def _unknown(self, repository: str, reference: str) -> RegistryError:
        if not self._catalog.has_repository(repository):
            return RegistryError(ErrorCode.NAME_UNKNOWN, f"repository {repository} is not known")
        return RegistryError(ErrorCode.MANIFEST_UNKNOWN, f"{repository} has no manifest {reference}")


def _examine(content: bytes, media_type: str, digest: Digest | None) -> tuple[Digest, Manifest | Index]:
    """The digest and the meaning of what was pushed. Raises RegistryError (DIGEST_INVALID, MANIFEST_INVALID)."""
    found = Digest.of(content, digest.algorithm if digest else "sha256")
    if digest and digest != found:
        raise RegistryError(ErrorCode.DIGEST_INVALID, f"manifest has digest {found}, expected {digest}")
    try:
        return found, parse_manifest(content, media_type)
    except InvalidManifestError as error:
        problems = error.problems[:SHOWN_PROBLEMS]
        raise RegistryError(ErrorCode.MANIFEST_INVALID, error.message, detail=problems) from error


def _held(error: TagHeldError, refused: Digest) -> RegistryError:
    message = f"tag {error.tag} is immutable and has digest {error.digest}; refused to move it to {refused}"
    return RegistryError(ErrorCode.DENIED, message, status=409)


def _wrong_sizes(error: WrongSizesError) -> RegistryError:
    problems = [f"{one.digest}: expected {size} bytes, got {one.size}" for one, size in error.found[:SHOWN_PROBLEMS]]
    more = f" and {len(error.found) - 1} more" if len(error.found) > 1 else ""
    return RegistryError(
        ErrorCode.MANIFEST_INVALID, f"manifest gives a wrong size of {problems[0]}{more}", detail=problems
    )


def _targets(descriptors: Iterable[Descriptor]) -> list[Target]:
    return [Target(str(one.digest), one.size) for one in descriptors]


def _find_beside(repository: str, entry: Descriptor, may_read: Callable[[str], bool]) -> str:
    """The repository of the service that an entry of a set names; empty when there is none that the pusher may read."""
    service = entry.annotations.get(annotations.SERVICE, "")
    prefix, slash, _ = repository.rpartition("/")
    beside = f"{prefix}{slash}{service}"
    return beside if service and may_read(beside) else ""


def _needed_blobs(parsed: Manifest | Index) -> list[Descriptor]:
    if isinstance(parsed, Index):
        return []
    return [blob for blob in parsed.blobs if not media.is_nondistributable(blob.media_type)]


def _foreign_blobs(parsed: Manifest | Index) -> list[Descriptor]:
    """Layers that need not be here, but may be."""
    if isinstance(parsed, Index):
        return []
    return [blob for blob in parsed.blobs if media.is_nondistributable(blob.media_type)]


def _prepare_row(digest: Digest, content: bytes, parsed: Manifest | Index) -> ManifestRow:
    artifact_type = parsed.artifact_type
    if not artifact_type and isinstance(parsed, Manifest):
        artifact_type = parsed.config.media_type
    return ManifestRow(
        str(digest),
        parsed.media_type,
        content,
        str(parsed.subject.digest) if parsed.subject else "",
        artifact_type,
        orjson.dumps(dict(parsed.annotations)).decode(),
    )
