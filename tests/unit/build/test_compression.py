"""The gzip stream: readable by others, fixed in its header, the same however it is fed."""

import gzip

import pytest

from towpath.build.compression import HEADER, GzipStream

CONTENT = b"".join(b"line %d of a semi-compressible text\n" % number for number in range(20_000))


def compress(pieces: list[bytes], *, portable: bool) -> bytes:
    stream = GzipStream(portable=portable)
    return b"".join([*(stream.compress(piece) for piece in pieces), stream.finish()])


@pytest.mark.parametrize("portable", [False, True])
def test_the_stream_is_gzip_with_a_fixed_header(portable: bool) -> None:
    compressed = compress([CONTENT], portable=portable)

    assert compressed.startswith(HEADER)
    assert gzip.decompress(compressed) == CONTENT
    assert len(compressed) < len(CONTENT) / 4


@pytest.mark.parametrize("portable", [False, True])
def test_nothing_compresses_to_an_empty_stream(portable: bool) -> None:
    assert gzip.decompress(compress([], portable=portable)) == b""


@pytest.mark.parametrize("portable", [False, True])
def test_the_same_pieces_give_the_same_bytes(portable: bool) -> None:
    pieces = [CONTENT[start : start + 8192] for start in range(0, len(CONTENT), 8192)]

    assert compress(pieces, portable=portable) == compress(pieces, portable=portable)


def test_fed_byte_by_byte_it_still_is_the_same_content() -> None:
    head = CONTENT[:5000]

    assert gzip.decompress(compress([head[i : i + 1] for i in range(len(head))], portable=False)) == head
