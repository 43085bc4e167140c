"""A parser that begins at a body."""

import pytest

from fakes.contents_app import content_of
from towpath.http.resuming import create_parser, resume_chunked

BODY = content_of(1000)
CHUNKS = b"3e8\r\n" + BODY + b"\r\n0\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


class Told:
    """All that a parser tells, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.body = b""

    def on_message_begin(self) -> None:
        self.events.append("begin")

    def on_url(self, url: bytes) -> None:
        self.events.append(url.decode())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.events.append(f"{name.decode()}: {value.decode()}")

    def on_headers_complete(self) -> None:
        self.events.append("head")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.events.append("end")


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_body_and_the_next_request_are_told_and_no_head_before_them(size: int) -> None:
    told = Told()
    parser = resume_chunked(told)
    sent = CHUNKS + NEXT
    for start in range(0, len(sent), size):
        parser.feed_data(sent[start : start + size])
    assert told.body == BODY
    assert "".join(told.events).startswith("endbegin/")
    assert told.events[-3:] == ["Host: a", "head", "end"]


def test_a_parser_at_the_beginning_tells_of_everything() -> None:
    told = Told()
    create_parser(told).feed_data(NEXT)
    assert told.events == ["begin", "/next", "Host: a", "head", "end"]
