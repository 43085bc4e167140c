"""A little space that is kept back, so that a full disk can be emptied: removing rows needs some too.

One file of zeros beside the catalog. The collector gives it back to the disk when there is no space left, and takes it
again at its end; without it, whoever filled the disk would have to delete files by hand.
"""

import contextlib
import os
from pathlib import Path

# The log of a piece of a collection, with much to spare.
RESERVE_BYTES = 1024 * 1024


class Reserve:
    """The reserve of one registry directory."""

    def __init__(self, root: Path) -> None:
        self._path = root / "reserve"

    def refill(self) -> None:
        """Take the space if it can be had; a disk that is full gives none, which is no failure."""
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size == RESERVE_BYTES:
                return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            self.release()

    def release(self) -> bool:
        """Give the space back; False when there is none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
