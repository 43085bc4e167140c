"""A transport that sends the head of an answer together with what follows it.

uvicorn writes them apart: two system calls, two packets, and a client that is woken for a head without a body. Whoever
knows that a body follows at once has the head held back; a large body is never copied for it.
"""

import asyncio
from typing import Any

# 64 KiB: copying so much costs less than a system call.
SMALL_BYTES = 64 * 1024


class GatheringTransport(asyncio.Transport):
    """A transport around another one; what is not about writing is passed on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Wrap the transport of one connection."""
        super().__init__()
        self._transport = transport
        self._is_holding = False
        self._held = b""

    def hold_next(self) -> None:
        """Hold the next write until the one after it, or `flush`."""
        self._is_holding = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send what is held, and this."""
        if self._is_holding:
            self._is_holding = False
            self._held += data
        elif not self._held:
            self._transport.write(data)
        elif len(data) <= SMALL_BYTES:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        else:
            self.flush()
            self._transport.write(data)

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Send what is held, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is held is lost."""
        self._held = b""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""
        return self._transport.is_closing()

    def is_reading(self) -> bool:
        """Whether data is being received."""
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        """Receive nothing until `resume_reading`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """How many bytes have not been taken by the system."""
        return len(self._held) + self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """From how many bytes on the protocol is asked to pause, and down to how many."""
        self._transport.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows of its socket."""
        return self._transport.get_extra_info(name, default)
