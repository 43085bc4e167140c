"""Ten thousand random operations on a registry, while collections go on, held against a model of what must be there.

The model knows nothing of how the registry works: sets of names, and one rule, written out again here, of what may go.
Two to four operations go on at once, in half of the steps over the same few blobs; there must be an order in which all
their answers are the model's (`fakes.linear`). Now and then, when all is quiet, what is there must be exactly what may
stay. `TOWPATH_FAULTS_SEED` chooses another run, `TOWPATH_FAULTS_OPERATIONS` how long it is.
"""

import asyncio
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_model import Entry, Key, Model, Witness
from towpath.http.pouring import Pieces
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
# What the operations of one step may fight over: many, so that most are of few manifests.
CONTESTED = [b"contested %d" % number for number in range(300)]
TAGS = [f"v{number}" for number in range(8)]
GRACE = 7200.0
POLICY = Policy(grace_seconds=GRACE, settling_seconds=0.0)


class Bench:
    """A registry, its model, and the operations on both."""

    def __init__(
        self, registry: Registry, database: sqlite3.Connection, clock: VirtualClock, chance: random.Random
    ) -> None:
        self.registry, self.database, self.clock, self.chance = registry, database, clock, chance
        self.model = Model(GRACE)
        self.witness = Witness()
        self.ask = self.witness.ask
        self.focus: tuple[str, list[bytes]] | None = None
        self.collecting: asyncio.Task[object] | None = None
        self.done: dict[str, int] = {}

    @property
    def operations(self) -> list[tuple[int, Callable[[], Awaitable[None]]]]:
        """Each with how often it comes."""
        return [
            (20, self.push_blob),
            (6, self.mount),
            (8, self.head_blob),
            (6, self.delete_blob),
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

    async def step(self) -> int:
        """Some operations at once; how many."""
        weights, acts = zip(*self.operations, strict=True)
        chosen = self.chance.choices(acts, weights, k=self.chance.randint(2, 4))
        # Whatever is decided at one moment: time passes between two steps.
        together = [act for act in chosen if act != self.let_time_pass]
        unneeded = self.unneeded()
        if self.chance.random() < 0.5:
            self.focus = (self.chance.choice(REPOSITORIES), self.chance.sample(CONTESTED, 3))
            for content in self.focus[1]:
                await self.upload(self.focus[0], content)
        await asyncio.gather(*(act() for act in together))
        self.focus = None
        for act in chosen:
            self.done[act.__name__] = self.done.get(act.__name__, 0) + 1
        self.model = self.witness.settle(self.model)
        if self.collecting:
            self.see_what_is_gone(unneeded | self.unneeded())
        if len(together) < len(chosen):
            await self.let_time_pass()
        return len(chosen)

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
        await self.upload(self.repository(), self.content())

    async def mount(self) -> None:
        source, target, digest = self.repository(), self.chance.choice(REPOSITORIES), Digest.of(self.content())
        key = (source, str(digest))

        def explain(mounted: bool | ErrorCode, model: Model) -> bool:
            if mounted is not True:
                return mounted is False and key not in model.needed_blobs(self.now)
            is_there = key in model.blobs
            model.blobs[key] = model.blobs[target, key[1]] = self.now
            return is_there

        await self.ask(f"mount {key} into {target}", self.registry.blobs.mount(target, digest, source), explain)

    async def head_blob(self) -> None:
        await self.head(self.repository(), self.content())

    async def head(self, repository: str, content: bytes | str) -> int | ErrorCode | None:
        digest = Digest.parse(content) if isinstance(content, str) else Digest.of(content)
        key = (repository, str(digest))

        async def act() -> int | None:
            return self.registry.blobs.find_size(repository, digest)

        def explain(size: int | ErrorCode | None, model: Model) -> bool:
            if size is None:
                return key not in model.needed_blobs(self.now)
            is_there = key in model.blobs
            model.blobs[key] = self.now
            return is_there

        return await self.ask(f"head {key}", act(), explain)

    async def delete_blob(self) -> None:
        repository, digest = self.repository(), Digest.of(self.content())
        key = (repository, str(digest))

        def explain(refusal: ErrorCode | None, model: Model) -> bool:
            if refusal is ErrorCode.DENIED:
                return any(repository == where and key[1] in one.blobs for (where, _), one in model.manifests.items())
            if refusal is not None:
                return refusal is ErrorCode.BLOB_UNKNOWN and key not in model.needed_blobs(self.now)
            needed = {
                (where, blob) for where, one in model.needed(self.now) for blob in model.manifests[where, one].blobs
            }
            model.blobs.pop(key, None)
            return key not in needed

        await self.ask(f"delete {key}", self.registry.blobs.delete(repository, digest), explain)

    async def push_manifest(self) -> None:
        repository = self.repository()
        contents = self.chance.sample(self.focus[1] if self.focus else CONTENTS, 3)
        for content in contents:
            # As clients do: ask first, send what is not there.
            if await self.head(repository, content) is None:
                await self.upload(repository, content)
        raw = format_manifest(Manifest(*self.descriptors(contents)))
        await self.put(repository, raw, media.OCI_MANIFEST, blobs=contents)

    async def push_index(self) -> None:
        repository = self.repository()
        # Any that may be there: some may be on their way out, and nobody has asked for them.
        near = sorted(key for key in self.model.manifests if key[0] == repository)
        keys = self.chance.sample(near, min(2, len(near)))
        sizes = [len(self.model.manifests[key].raw) for key in keys]
        entries = [
            Descriptor(media.OCI_MANIFEST, Digest.parse(digest), size)
            for (_, digest), size in zip(keys, sizes, strict=True)
        ]
        raw = format_manifest(Index(tuple(entries), {"n": str(self.chance.randrange(4))}))
        await self.put(repository, raw, media.OCI_INDEX, entries={str(one.digest) for one in entries})

    async def push_referrer(self) -> None:
        repository = self.repository()
        known = sorted(digest for where, digest in self.model.manifests if where == repository)
        subject = self.chance.choice([*known, str(Digest.of(b"nothing"))])
        content = self.content()
        await self.upload(repository, content)
        (config, _) = self.descriptors([content])
        about = Descriptor(media.OCI_MANIFEST, Digest.parse(subject), 1)
        raw = format_manifest(Manifest(config, (), subject=about))
        await self.put(repository, raw, media.OCI_MANIFEST, blobs=[content], subject=subject, may_tag=False)

    async def tag(self) -> None:
        keys = sorted(self.model.needed(self.now))
        if keys:
            key = self.chance.choice(keys)
            await self.store(key, self.model.manifests[key], [self.chance.choice(TAGS)])

    async def read(self) -> None:
        keys = sorted(self.model.manifests)
        if not keys:
            return
        key = self.chance.choice(keys)

        async def act() -> bytes:
            return self.registry.manifests.get(*key).content

        def explain(found: bytes | ErrorCode, model: Model) -> bool:
            if isinstance(found, ErrorCode):
                return key not in model.needed(self.now)
            if key not in model.manifests or found != model.manifests[key].raw:
                return False
            model.ask_for(key, self.now)
            return True

        blobs = self.model.manifests[key].blobs
        answer = await self.ask(f"read {key}", act(), explain)
        if not isinstance(answer, ErrorCode):
            for blob in sorted(blobs):
                await self.head(key[0], blob)

    async def delete_tag(self) -> None:
        key = (self.repository(), self.chance.choice(TAGS))

        def explain(refusal: ErrorCode | None, model: Model) -> bool:
            return (model.tags.pop(key, None) is None) == (refusal is not None)

        await self.ask(f"delete {key}", self.registry.manifests.delete(*key), explain)

    async def delete_manifest(self) -> None:
        keys = sorted(self.model.manifests)
        if not keys:
            return
        key = self.chance.choice(keys)

        def explain(refusal: ErrorCode | None, model: Model) -> bool:
            is_right = key in model.manifests if refusal is None else key not in model.needed(self.now)
            model.manifests.pop(key, None)
            model.tags = {name: digest for name, digest in model.tags.items() if (name[0], digest) != key}
            return is_right

        await self.ask(f"delete {key}", self.registry.manifests.delete(*key), explain)

    async def list_tags(self) -> None:
        repository = self.repository()

        async def act() -> list[str]:
            return self.registry.manifests.tags(repository, after="", limit=100)[0]

        def explain(found: list[str] | ErrorCode, model: Model) -> bool:
            expected = sorted(tag for where, tag in model.tags if where == repository)
            return expected == ([] if isinstance(found, ErrorCode) else found)

        await self.ask(f"tags of {repository}", act(), explain)

    async def list_referrers(self) -> None:
        repository = self.repository()

        async def act(subject: str) -> str:
            return self.registry.manifests.referrers(repository, Digest.parse(subject))[0].decode()

        def explain(subject: str, listed: str | ErrorCode, model: Model) -> bool:
            kept = {key for key in model.needed(self.now) if key[0] == repository}
            return all(key[1] in str(listed) for key in kept if model.manifests[key].subject == subject)

        for subject in sorted(
            {one.subject for key, one in self.model.manifests.items() if key[0] == repository} - {""}
        ):
            await self.ask(f"referrers of {subject}", act(subject), partial(explain, subject))

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
        return self.focus[0] if self.focus else self.chance.choice(REPOSITORIES)

    def content(self) -> bytes:
        return self.chance.choice(self.focus[1] if self.focus else CONTENTS)

    def descriptors(self, contents: list[bytes]) -> tuple[Descriptor, tuple[Descriptor, ...]]:
        config, *layers = [Descriptor(media.OCI_LAYER, Digest.of(content), len(content)) for content in contents]
        return config, tuple(layers)

    async def upload(self, repository: str, content: bytes) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        async def act() -> None:
            upload = await self.registry.blobs.start_upload(repository)
            async with upload.lock:
                await self.registry.blobs.append(upload, Pieces(pieces()))
                await self.registry.blobs.finish_upload(repository, upload, Digest.of(content))

        def explain(refusal: ErrorCode | None, model: Model) -> bool:
            model.blobs[repository, str(Digest.of(content))] = self.now
            return refusal is None

        await self.ask(f"upload {repository} {Digest.of(content)}", act(), explain)

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
        tags = self.chance.sample(TAGS, 1) if may_tag and self.chance.random() < 0.3 else []
        needs = frozenset(str(Digest.of(content)) for content in blobs)
        entry = Entry(raw, media_type, needs, frozenset(entries), subject, self.now)
        await self.store((repository, str(Digest.of(raw))), entry, tags)

    async def store(self, key: Key, entry: Entry, tags: list[str]) -> None:
        repository, _ = key
        blobs = {(repository, blob) for blob in entry.blobs}

        def explain(answer: object, model: Model) -> bool:
            if isinstance(answer, ErrorCode):
                here = {digest for where, digest in model.needed(self.now) if where == repository}
                is_right = not (blobs <= model.needed_blobs(self.now) and entry.entries <= here)
                # To be refused is to have asked for it, too.
                if key in model.manifests and self.is_there(*key):
                    model.ask_for(key, self.now)
                return is_right and answer is ErrorCode.MANIFEST_BLOB_UNKNOWN
            is_right = blobs <= set(model.blobs) and entry.entries <= {
                digest for where, digest in model.manifests if where == repository
            }
            model.manifests[key] = replace(entry, asked_at=self.now)
            model.tags.update({(repository, tag): key[1] for tag in tags})
            return is_right

        manifests, digest = self.registry.manifests, Digest.parse(key[1])
        act = manifests.put(repository, entry.raw, media_type=entry.media_type, digest=digest, tags=tags)
        await self.ask(f"put {key} {tags}", act, explain)


async def test_ten_thousand_operations_while_collections_go_on_never_differ_from_the_model(tmp_path: Path) -> None:
    clock, chance = VirtualClock(), random.Random(SEED)  # noqa: S311 - repeatable on purpose
    registry = Registry(tmp_path / "registry", clock=clock)
    await registry.start()
    database = sqlite3.connect(tmp_path / "registry" / "catalog.db")
    bench = Bench(registry, database, clock, chance)
    try:
        number = checked = 0
        while number < OPERATIONS:
            try:
                number += await bench.step()
                if number - checked >= 500:
                    await bench.check_all()
                    checked = number
            except (AssertionError, RegistryError) as error:
                raise AssertionError(f"seed {SEED}, operation {number}: {error!r}") from error
    finally:
        await bench.end_collection()
        database.close()
        await registry.close()
    assert all(bench.done.get(act.__name__) for _, act in bench.operations), "every operation came"
