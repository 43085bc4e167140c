"""What the gate learns of attestations: judged by the keys that lie in the platform's directory at that moment."""

from pathlib import Path

from fakes.attested import COMMIT, PLATFORM, Shelf
from fakes.memory_registry import MemoryRegistry
from towpath.attest.findings import Verdict, conclude
from towpath.attest.keyfiles import write_pair
from towpath.attest.keys import KeyKind, generate_key
from towpath.server.attested import TrustedAttestations

KEY = generate_key(KeyKind.P256)


async def find_commit(commit: str) -> str | None:
    return commit if commit == COMMIT else None


async def test_a_key_counts_from_the_moment_it_lies_there(tmp_path: Path) -> None:
    shelf = await Shelf(MemoryRegistry()).fill()
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    attestations = TrustedAttestations(tmp_path, shelf.registry, PLATFORM, find_commit)
    pinned = shelf.reference.with_digest(shelf.subject.digest)

    assert attestations.trusted() == []
    assert conclude(await attestations.examine(pinned, COMMIT)) is Verdict.INSUFFICIENT
    write_pair(tmp_path / "keys", KEY, name="attest", password=None)
    assert attestations.trusted() == [KEY.key_id]
    assert conclude(await attestations.examine(pinned, COMMIT)) is Verdict.PASSED


async def test_an_image_of_another_commit_fails(tmp_path: Path) -> None:
    shelf = await Shelf(MemoryRegistry()).fill()
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    write_pair(tmp_path / "keys", KEY, name="attest", password=None)
    attestations = TrustedAttestations(tmp_path, shelf.registry, PLATFORM, find_commit)
    pinned = shelf.reference.with_digest(shelf.subject.digest)
    assert conclude(await attestations.examine(pinned, "f" * 40)) is Verdict.FAILED
