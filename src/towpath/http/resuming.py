"""Parsers that begin in the middle: at a body whose head another parser has read.

httptools takes whatever asks for another protocol (`Upgrade`) for a request without a body, and its body for the
next request. Nothing is upgraded here, so such a request is one like any other (RFC 9110, 7.8).
"""

from typing import Protocol

import httptools

_CHUNKED = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class Callbacks(Protocol):
    """Whom a parser tells what it reads."""

    def on_message_begin(self) -> None:
        """A request begins."""
        ...

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        ...

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        ...

    def on_headers_complete(self) -> None:
        """The end of its head."""
        ...

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        ...

    def on_message_complete(self) -> None:
        """Its end."""
        ...


class _Resumed:
    """Tells of everything but the head that the parser is made to read first."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self.is_in_head = True
        self.on_body = callbacks.on_body
        self.on_message_complete = callbacks.on_message_complete

    def on_message_begin(self) -> None:
        if not self.is_in_head:
            self._callbacks.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self.is_in_head:
            self._callbacks.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_in_head:
            self._callbacks.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.is_in_head:
            self._callbacks.on_headers_complete()


def create_parser(callbacks: object) -> "httptools.HttpRequestParser":
    """A parser at the beginning of a request."""
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does, for pipelined requests
    return parser


def resume_chunked(callbacks: Callbacks) -> "httptools.HttpRequestParser":
    """A parser at the beginning of a body in chunks."""
    resumed = _Resumed(callbacks)
    parser = create_parser(resumed)
    parser.feed_data(_CHUNKED)
    resumed.is_in_head = False
    return parser
