"""Ten thousand random operations on a registry, while collections go on, held against a model of what must be there.

The model knows nothing of how the registry works: sets of names, and one rule, written out again here, of what may go.
After every operation the answer must be the model's; now and then, when all is quiet, what is there must be exactly
what may stay. `TOWPATH_FAULTS_SEED` chooses another run, `TOWPATH_FAULTS_OPERATIONS` how long it is.
"""

import asyncio
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.registry.errors import RegistryError
from towpath.registry.keeper.evidence import NoEvidence
from towpath.registry.keeper.policy import Policy
from towpath.registry.service import Registry

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("TOWPATH_FAULTS_SEED", "4"))
OPERATIONS = int(os.environ.get("TOWPATH_FAULTS_OPERATIONS", "10000"))
REPOSITORIES = ("lab/one", "lab/two", "lab/three")
CONTENTS = [b"content %d" % number for number in range(24)]
TAGS = [f"v{number}" for number in range(8)]
GRACE = 7200.0
POLICY = Policy(grace_seconds=GRACE, settling_seconds=0.0)
Key = tuple[str, str]


@dataclass
class Entry:
    """A manifest that was pushed; `asked_at` is when it was last pushed, tagged or read."""

    raw: bytes
    media_type: str
    blobs: frozenset[str]
    entries: frozenset[str]
    subject: str
    asked_at: float


@dataclass
class Model:
    """What must be there, and what may be."""

    manifests: dict[Key, Entry] = field(default_factory=dict)
    tags: dict[Key, str] = field(default_factory=dict)
    blobs: dict[Key, float] = field(default_factory=dict)  # when each was last pushed, mounted or asked for

    def needed(self, now: float) -> set[Key]:
        """The manifests that no collection may remove."""
        kept = {key for key, entry in self.manifests.items() if now - entry.asked_at < GRACE}
        kept |= {(repository, digest) for (repository, _), digest in self.tags.items()}
        while True:
            digests = {target for key in kept for target in self.manifests[key].entries}
            more = {
                key
                for key, entry in self.manifests.items()
                if key[1] in digests or (entry.subject and (key[0], entry.subject) in kept)
            }
            if more <= kept:
                return kept
            kept |= more

    def needed_blobs(self, now: float) -> set[Key]:
        """The blobs that no collection may remove."""
        of_manifests = {(key[0], blob) for key in self.needed(now) for blob in self.manifests[key].blobs}
        return of_manifests | {key for key, asked_at in self.blobs.items() if now - asked_at < GRACE}

    def forget_gone(self, key: Key) -> None:
        """A collection has taken what was not needed."""
        self.manifests.pop(key)

    def forget(self, kept: set[Key], blobs: set[Key]) -> None:
        """What is not needed is gone."""
        self.manifests = {key: entry for key, entry in self.manifests.items() if key in kept}
        self.blobs = {key: asked_at for key, asked_at in self.blobs.items() if key in blobs}


class Bench:
    """A registry, its model, and the operations on both."""

    def __init__(
        self, registry: Registry, database: sqlite3.Connection, clock: VirtualClock, chance: random.Random
    ) -> None:
        self.registry, self.database, self.clock, self.chance = registry, database, clock, chance
        self.model = Model()
        self.collecting: asyncio.Task[object] | None = None
        self.done: dict[str, int] = {}

    @property
    def operations(self) -> list[tuple[int, Callable[[], Awaitable[None]]]]:
        """Each with how often it comes."""
        return [
            (20, self.push_blob),
            (6, self.mount),
            (8, self.head_blob),
            (3, self.delete_blob),
            (22, self.push_manifest),
            (8, self.push_index),
            (5, self.push_referrer),
            (6, self.tag),
            (8, self.read),
            (3, self.delete_tag),
            (5, self.delete_manifest),
            (2, self.list_tags),
            (3, self.list_referrers),
            (5, self.let_time_pass),
            (3, self.begin_collection),
        ]

    async def step(self) -> None:
        """One operation."""
        weights, acts = zip(*self.operations, strict=True)
        (act,) = self.chance.choices(acts, weights)
        self.done[act.__name__] = self.done.get(act.__name__, 0) + 1
        unneeded = self.unneeded()
        await act()
        if self.collecting:
            self.see_what_is_gone(unneeded | self.unneeded())

    def unneeded(self) -> set[Key]:
        """What a collection may take at this moment."""
        return set(self.model.manifests) - self.model.needed(self.now)

    def see_what_is_gone(self, unneeded: set[Key]) -> None:
        """What was not needed while a collection went on may be gone; if it is, it cannot be needed again."""
        for key in unneeded & set(self.model.manifests):
            if not self.is_there(*key):
                self.model.forget_gone(key)

    def is_there(self, repository: str, digest: str) -> bool:
        """Looked up behind the registry's back: asking it would be a reason to keep."""
        query = "SELECT 1 FROM manifests JOIN repositories ON repository = id WHERE name = ? AND digest = ?"
        return self.database.execute(query, (repository, digest)).fetchone() is not None

    # --- what clients do

    async def push_blob(self) -> None:
        repository, content = self.repository(), self.chance.choice(CONTENTS)
        await self.upload(repository, content)

    async def mount(self) -> None:
        source, target, content = self.repository(), self.repository(), self.chance.choice(CONTENTS)
        key = (source, str(Digest.of(content)))
        mounted = await self.registry.blobs.mount(target, Digest.of(content), source)
        assert mounted or key not in self.model.needed_blobs(self.now)
        assert not mounted or key in self.model.blobs
        if mounted:
            self.model.blobs[source, key[1]] = self.model.blobs[target, key[1]] = self.now

    async def head_blob(self) -> None:
        key = (self.repository(), str(Digest.of(self.chance.choice(CONTENTS))))
        size = self.registry.blobs.find_size(key[0], Digest.parse(key[1]))
        assert size is not None or key not in self.model.needed_blobs(self.now)
        assert size is None or key in self.model.blobs
        if size is not None:
            self.model.blobs[key] = self.now

    async def delete_blob(self) -> None:
        key = (self.repository(), str(Digest.of(self.chance.choice(CONTENTS))))
        used = any(key[0] == where and key[1] in entry.blobs for (where, _), entry in self.model.manifests.items())
        refusal: ErrorCode | None = None
        try:
            await self.registry.blobs.delete(key[0], Digest.parse(key[1]))
        except RegistryError as error:
            refusal = error.code
        if refusal is not None:
            assert used or refusal is ErrorCode.BLOB_UNKNOWN
            assert refusal is ErrorCode.DENIED or key not in self.model.needed_blobs(self.now)
        else:
            needed = {
                (where, blob)
                for where, digest in self.model.needed(self.now)
                for blob in self.model.manifests[where, digest].blobs
            }
            assert key not in needed
            self.model.blobs.pop(key, None)

    async def push_manifest(self) -> None:
        repository = self.repository()
        contents = self.chance.sample(CONTENTS, 3)
        for content in contents:
            # As clients do: ask first, send what is not there.
            if self.registry.blobs.find_size(repository, Digest.of(content)) is None:
                await self.upload(repository, content)
            self.model.blobs[repository, str(Digest.of(content))] = self.now
        if self.chance.random() < 0.3:
            await asyncio.sleep(0)  # a collection may come in between
        raw = format_manifest(Manifest(*self.descriptors(contents)))
        await self.put(repository, raw, media.OCI_MANIFEST, blobs=contents)

    async def push_index(self) -> None:
        repository = self.repository()
        # Any that may be there: some may be on their way out, and nobody has asked for them.
        near = sorted(key for key in self.model.manifests if key[0] == repository)
        keys = self.chance.sample(near, min(2, len(near)))
        entries = [Descriptor(media.OCI_MANIFEST, Digest.parse(digest), 1) for _, digest in keys]
        raw = format_manifest(Index(tuple(entries), {"n": str(self.chance.randrange(4))}))
        try:
            await self.put(repository, raw, media.OCI_INDEX, entries={str(one.digest) for one in entries})
        except RegistryError:
            assert not set(keys) <= self.model.needed(self.now)

    async def push_referrer(self) -> None:
        repository = self.repository()
        known = sorted({digest for where, digest in self.model.manifests if where == repository})
        subject = self.chance.choice([*known, str(Digest.of(b"nothing"))])
        content = self.chance.choice(CONTENTS)
        await self.upload(repository, content)
        (config, _) = self.descriptors([content])
        about = Descriptor(media.OCI_MANIFEST, Digest.parse(subject), 1)
        raw = format_manifest(Manifest(config, (), subject=about))
        await self.put(repository, raw, media.OCI_MANIFEST, blobs=[content], subject=subject, may_tag=False)

    async def tag(self) -> None:
        key, here = self.some_needed(), {digest for _, digest in self.model.needed(self.now)}
        # An index whose entry a client has deleted cannot be pushed again.
        if key and self.model.manifests[key].entries <= here:
            entry = self.model.manifests[key]
            tag = self.chance.choice(TAGS)
            parsed = {"media_type": entry.media_type, "digest": None, "tags": [tag]}
            await self.registry.manifests.put(key[0], entry.raw, **parsed)  # type: ignore[arg-type]
            entry.asked_at = self.now
            self.model.tags[key[0], tag] = key[1]

    async def read(self) -> None:
        keys = sorted(self.model.manifests)
        if not keys:
            return
        key = self.chance.choice(keys)
        try:
            found = self.registry.manifests.get(*key)
        except RegistryError:
            assert key not in self.model.needed(self.now)
            return
        assert found.content == self.model.manifests[key].raw
        self.model.manifests[key].asked_at = self.now
        for blob in self.model.manifests[key].blobs:
            assert self.registry.blobs.find_size(key[0], Digest.parse(blob)) is not None
            self.model.blobs[key[0], blob] = self.now

    async def delete_tag(self) -> None:
        key = (self.repository(), self.chance.choice(TAGS))
        try:
            await self.registry.manifests.delete(*key)
        except RegistryError:
            assert key not in self.model.tags
        else:
            self.model.tags.pop(key)

    async def delete_manifest(self) -> None:
        keys = sorted(self.model.manifests)
        if not keys:
            return
        key = self.chance.choice(keys)
        try:
            await self.registry.manifests.delete(*key)
        except RegistryError:
            assert key not in self.model.needed(self.now)
        del self.model.manifests[key]
        self.model.tags = {name: digest for name, digest in self.model.tags.items() if (name[0], digest) != key}

    async def list_tags(self) -> None:
        repository = self.repository()
        expected = sorted(tag for where, tag in self.model.tags if where == repository)
        try:
            assert self.registry.manifests.tags(repository, after="", limit=100) == (expected, False)
        except RegistryError:
            assert expected == []

    async def list_referrers(self) -> None:
        repository = self.repository()
        of_repository = {key: entry for key, entry in self.model.manifests.items() if key[0] == repository}
        for subject in {entry.subject for entry in of_repository.values()} - {""}:
            page, _ = self.registry.manifests.referrers(repository, Digest.parse(subject))
            listed = page.decode()
            kept = self.model.needed(self.now)
            for key, entry in of_repository.items():
                if entry.subject == subject:
                    assert key[1] in listed or key not in kept

    async def let_time_pass(self) -> None:
        await self.clock.advance(self.chance.choice([60.0, 1800.0, 3600.0]))

    # --- what the keeper does

    async def begin_collection(self) -> None:
        if self.collecting is None or self.collecting.done():
            await self.end_collection()
            self.collecting = asyncio.create_task(self.registry.collector.collect(NoEvidence(), POLICY))

    async def end_collection(self) -> None:
        if self.collecting:
            await self.collecting
            self.collecting = None

    async def check_all(self) -> None:
        """All is quiet, a collection has just ended: what is there is exactly what may stay."""
        unneeded = self.unneeded()
        await self.end_collection()
        self.see_what_is_gone(unneeded)
        await self.registry.collector.collect(NoEvidence(), POLICY)
        kept, blobs = self.model.needed(self.now), self.model.needed_blobs(self.now)
        self.model.forget(kept, blobs)
        facts = await self.registry.collector.survey()
        assert {fact.key for fact in facts.manifests} == kept
        assert {link.key for link in facts.links} == blobs & set(self.model.blobs)
        assert {
            (fact.repository, tag.name): fact.digest for fact in facts.manifests for tag in fact.tags
        } == self.model.tags
        assert (await self.registry.scrub.run()).damages == ()

    # --- pieces

    @property
    def now(self) -> float:
        return self.clock.now()

    def repository(self) -> str:
        return self.chance.choice(REPOSITORIES)

    def some_needed(self) -> Key | None:
        keys = sorted(self.model.needed(self.now))
        return self.chance.choice(keys) if keys else None

    def descriptors(self, contents: list[bytes]) -> tuple[Descriptor, tuple[Descriptor, ...]]:
        config, *layers = [Descriptor(media.OCI_LAYER, Digest.of(content), len(content)) for content in contents]
        return config, tuple(layers)

    async def upload(self, repository: str, content: bytes) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        upload = await self.registry.blobs.start_upload(repository)
        async with upload.lock:
            await self.registry.blobs.append(upload, pieces())
            await self.registry.blobs.finish_upload(repository, upload, Digest.of(content))
        self.model.blobs[repository, str(Digest.of(content))] = self.now

    async def put(
        self,
        repository: str,
        raw: bytes,
        media_type: str,
        *,
        blobs: list[bytes] = [],  # noqa: B006 - never changed
        entries: set[str] = set(),  # noqa: B006 - never changed
        subject: str = "",
        may_tag: bool = True,
    ) -> None:
        digest = Digest.of(raw)
        tags = self.chance.sample(TAGS, 1) if may_tag and self.chance.random() < 0.3 else []
        await self.registry.manifests.put(repository, raw, media_type=media_type, digest=digest, tags=tags)
        needs = frozenset(str(Digest.of(content)) for content in blobs)
        self.model.manifests[repository, str(digest)] = Entry(
            raw, media_type, needs, frozenset(entries), subject, self.now
        )
        for tag in tags:
            self.model.tags[repository, tag] = str(digest)


async def test_ten_thousand_operations_while_collections_go_on_never_differ_from_the_model(tmp_path: Path) -> None:
    clock, chance = VirtualClock(), random.Random(SEED)  # noqa: S311 - repeatable on purpose
    registry = Registry(tmp_path / "registry", clock=clock)
    await registry.start()
    database = sqlite3.connect(tmp_path / "registry" / "catalog.db")
    bench = Bench(registry, database, clock, chance)
    try:
        for number in range(OPERATIONS):
            try:
                await bench.step()
                if number % 500 == 499:
                    await bench.check_all()
            except (AssertionError, RegistryError) as error:
                raise AssertionError(f"seed {SEED}, operation {number}: {error!r}") from error
    finally:
        await bench.end_collection()
        database.close()
        await registry.close()
    assert all(bench.done.get(act.__name__) for _, act in bench.operations), "every operation came"
