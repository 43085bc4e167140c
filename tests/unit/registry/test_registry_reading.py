"""A transfer of a blob: what is given away, what is hashed meanwhile, and what damage is found before its end."""

import hashlib
from pathlib import Path

import pytest

from fakes.contents_app import content_of
from towpath.oci.digest import Digest
from towpath.registry.errors import DamagedContentError
from towpath.registry.storage.files import PIECE_BYTES, BlobFiles
from towpath.registry.storage.reading import FIRST_BYTES, BlobReader

LARGE = content_of(3 * PIECE_BYTES + 100)
SMALL = content_of(1000)


class Store:
    """Blob files, as a start finds them: nothing has been hashed by this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = BlobFiles(root)
        self.files.prepare()

    def put(self, content: bytes, *, found: bytes | None = None) -> Digest:
        """A blob; `found` is what lies in its file."""
        digest = Digest.of(content)
        path = self.files.path(digest)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if found is None else found)
        return digest

    def read(self, digest: Digest, size: int, *, start: int = 0, stop: int | None = None) -> BlobReader:
        return BlobReader(self.files, digest, size=size, start=start, stop=size if stop is None else stop)

    @property
    def damaged(self) -> list[str]:
        directory = self.root / "damaged"
        return [path.name for path in directory.iterdir()] if directory.exists() else []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def drain(reader: BlobReader, length: int) -> bytes:
    """All of it, in pieces of this length."""
    content = bytearray()
    while reader.start + len(content) < reader.stop:
        content += reader.read(reader.start + len(content), length)
    return bytes(content)


@pytest.mark.parametrize("length", [1000, PIECE_BYTES, PIECE_BYTES + 1, len(LARGE)])
def test_a_blob_is_read_whole_and_known_to_be_good_then(store: Store, length: int) -> None:
    digest = store.put(LARGE)
    reader = store.read(digest, len(LARGE))
    assert not reader.is_verified
    reader.begin()
    assert drain(reader, length) == LARGE
    assert store.read(digest, len(LARGE)).is_verified


def test_a_piece_that_is_asked_for_again_is_hashed_once(store: Store) -> None:
    digest = store.put(LARGE)
    reader = store.read(digest, len(LARGE))
    reader.begin()
    # A client that reads slowly: each piece is filled anew from where it got to.
    positions = [0, 10, 20, PIECE_BYTES - 1, PIECE_BYTES - 1, 2 * PIECE_BYTES - 5, 2 * PIECE_BYTES - 5]
    buffer = memoryview(bytearray(PIECE_BYTES))
    for position in positions:
        count = reader.fill(buffer, position)
        assert buffer[:count] == LARGE[position : position + PIECE_BYTES]
    assert reader.read(3 * PIECE_BYTES - 5, PIECE_BYTES) == LARGE[3 * PIECE_BYTES - 5 :]
    assert reader.read(len(LARGE) - 1, PIECE_BYTES) == LARGE[-1:]
    assert store.read(digest, len(LARGE)).is_verified


def test_a_small_damaged_blob_is_found_before_it_is_begun(store: Store) -> None:
    digest = store.put(SMALL, found=SMALL[:-1] + b"!")
    with pytest.raises(DamagedContentError, match="DigestMismatch"):
        store.read(digest, len(SMALL)).begin()
    assert store.damaged == [digest.hex]


def test_a_large_damaged_blob_is_found_before_its_last_bytes_are_given_away(store: Store) -> None:
    digest = store.put(LARGE, found=b"!" + LARGE[1:])
    reader = store.read(digest, len(LARGE))
    reader.begin()
    given = b"".join(reader.read(position, PIECE_BYTES) for position in range(0, 3 * PIECE_BYTES, PIECE_BYTES))
    assert len(given) == 3 * PIECE_BYTES
    with pytest.raises(DamagedContentError, match="DigestMismatch"):
        reader.read(len(given), PIECE_BYTES)
    assert store.damaged == [digest.hex]


def test_an_empty_blob_is_hashed_too(store: Store) -> None:
    good = store.put(b"")
    store.read(good, 0).begin()
    assert store.read(good, 0).is_verified
    bad = Digest("sha256", hashlib.sha256(b"x").hexdigest())
    store.files.path(bad).parent.mkdir(exist_ok=True)
    store.files.path(bad).write_bytes(b"")
    with pytest.raises(DamagedContentError, match="DigestMismatch"):
        store.read(bad, 0).begin()


@pytest.mark.parametrize("found", [b"", SMALL[:-1], SMALL + b"!"])
def test_a_file_of_another_length_is_not_opened(store: Store, found: bytes) -> None:
    digest = store.put(SMALL, found=found)
    with pytest.raises(DamagedContentError, match="SizeMismatch"):
        store.read(digest, len(SMALL))
    assert store.damaged == [digest.hex]


def test_a_missing_file_is_damage(store: Store) -> None:
    with pytest.raises(DamagedContentError, match="Missing"):
        store.read(Digest.of(SMALL), len(SMALL))


def test_a_file_that_is_cut_short_under_a_transfer_is_damage(store: Store) -> None:
    digest = store.put(LARGE)
    reader = store.read(digest, len(LARGE))
    reader.begin()
    with store.files.path(digest).open("r+b") as file:
        file.truncate(PIECE_BYTES)
    with pytest.raises(DamagedContentError, match=f"CutShort.*{PIECE_BYTES} bytes"):
        drain(reader, PIECE_BYTES)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (5, 5), (PIECE_BYTES - 3, 2 * PIECE_BYTES + 3), (100, len(LARGE))])
def test_a_part_is_read_and_not_hashed(store: Store, start: int, stop: int) -> None:
    digest = store.put(LARGE)
    reader = store.read(digest, len(LARGE), start=start, stop=stop)
    assert reader.is_verified
    assert drain(reader, FIRST_BYTES) == LARGE[start:stop]
    assert not store.read(digest, len(LARGE)).is_verified


def test_what_is_removed_under_a_transfer_is_read_to_its_end(store: Store) -> None:
    digest = store.put(LARGE)
    reader = store.read(digest, len(LARGE))
    reader.begin()
    store.files.remove(digest)
    assert drain(reader, PIECE_BYTES) == LARGE


def test_a_blob_that_was_replaced_under_a_damaged_transfer_stays(store: Store) -> None:
    digest = store.put(LARGE, found=b"!" + LARGE[1:])
    reader = store.read(digest, len(LARGE))
    reader.begin()
    pushed = store.root / "pushed"
    pushed.write_bytes(LARGE)
    store.files.accept(pushed, digest)
    with pytest.raises(DamagedContentError):
        drain(reader, PIECE_BYTES)
    assert drain(store.read(digest, len(LARGE)), PIECE_BYTES) == LARGE
    assert store.damaged == []


def test_what_was_not_hashed_yet_is_not_given_from_memory(store: Store) -> None:
    reader = store.read(store.put(LARGE), len(LARGE))
    with pytest.raises(BlockingIOError):
        reader.fill_now(memoryview(bytearray(10)), 0)


def test_what_is_hashed_and_in_memory_is_given_without_waiting(store: Store) -> None:
    digest = store.put(LARGE)
    drain(store.read(digest, len(LARGE)), PIECE_BYTES)
    reader, buffer = store.read(digest, len(LARGE)), bytearray(100)
    try:
        count = reader.fill_now(memoryview(buffer), 7)
    except BlockingIOError:
        count = reader.fill(memoryview(buffer), 7)  # a filesystem that cannot tell, or whose memory was wanted
    assert buffer[:count] == LARGE[7 : 7 + count]


def test_a_file_that_ends_early_is_left_to_a_worker_to_find(store: Store) -> None:
    digest = store.put(SMALL)
    drain(store.read(digest, len(SMALL)), PIECE_BYTES)
    reader = store.read(digest, len(SMALL))
    store.files.path(digest).write_bytes(b"")
    with pytest.raises(BlockingIOError):
        reader.fill_now(memoryview(bytearray(10)), 5)
    with pytest.raises(DamagedContentError, match="ended at 5 bytes"):
        reader.fill(memoryview(bytearray(10)), 5)
