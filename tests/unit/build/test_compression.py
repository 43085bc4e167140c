"""The gzip coding: readable by others, fixed in its header, the same whoever compresses which block when."""

import gzip
import zlib
from pathlib import Path

import pytest

from towpath.build.compression import HEADER, BlockGzip, open_gzip

CONTENT = b"".join(b"line %d of a semi-compressible text\n" % number for number in range(20_000))


def compress(blocks: list[bytes], *, portable: bool) -> bytes:
    stream = BlockGzip(portable=portable)
    deflated = {index: stream.deflate(block) for index, block in reversed(list(enumerate(blocks)))}
    for block in blocks:
        stream.count(block)
    return HEADER + b"".join(deflated[index] for index in range(len(blocks))) + stream.trailer()


def cut(size: int) -> list[bytes]:
    return [CONTENT[start : start + size] for start in range(0, len(CONTENT), size)]


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("size", [len(CONTENT), 100_000, 4096])
def test_the_blocks_are_one_gzip_member_with_a_fixed_header(portable: bool, size: int) -> None:
    compressed = compress(cut(size), portable=portable)
    reader = zlib.decompressobj(31)

    assert compressed.startswith(HEADER)
    assert reader.decompress(compressed) == CONTENT
    assert reader.eof
    assert reader.unused_data == b""


@pytest.mark.parametrize("portable", [False, True])
def test_nothing_compresses_to_an_empty_member(portable: bool) -> None:
    assert gzip.decompress(compress([], portable=portable)) == b""


@pytest.mark.parametrize("portable", [False, True])
def test_the_same_blocks_give_the_same_bytes(portable: bool) -> None:
    assert compress(cut(8192), portable=portable) == compress(cut(8192), portable=portable)


def test_cutting_costs_next_to_nothing() -> None:
    assert len(compress(cut(100_000), portable=False)) < len(compress([CONTENT], portable=False)) * 1.05


def test_a_file_is_read_back_and_a_damaged_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(compress([CONTENT], portable=False))
    with open_gzip(path) as stream:
        assert stream.read() == CONTENT

    path.write_bytes(path.read_bytes()[:-20])
    with open_gzip(path) as stream, pytest.raises((OSError, EOFError)):
        stream.read()
