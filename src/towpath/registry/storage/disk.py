"""Blocking work away from the event loop: two workers for contents, one for the catalog, one for what may take long.

One worker writes the catalog, so that its transactions follow one another without a lock, even when the request that
asked for one has been cancelled. Failures of the disk become this package's errors here and nowhere else.
"""

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from towpath.registry.errors import StorageError, StorageFullError

T = TypeVar("T")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Disk:
    """The workers of one registry."""

    def __init__(self) -> None:
        self._contents = ThreadPoolExecutor(2, thread_name_prefix="registry-contents")
        self._catalog = ThreadPoolExecutor(1, thread_name_prefix="registry-catalog")
        self._survey = ThreadPoolExecutor(1, thread_name_prefix="registry-survey")

    async def run(self, work: Callable[[], T]) -> T:
        """Read, write or hash contents. Raises StorageError, StorageFullError."""
        return await asyncio.get_running_loop().run_in_executor(self._contents, translate, work)

    async def commit(self, work: Callable[[], T]) -> T:
        """Change the catalog, after all changes asked for before. Raises StorageError, StorageFullError."""
        return await asyncio.get_running_loop().run_in_executor(self._catalog, translate, work)

    async def survey(self, work: Callable[[], T]) -> T:
        """Look at everything, without keeping transfers waiting. Raises StorageError."""
        return await asyncio.get_running_loop().run_in_executor(self._survey, translate, work)

    def close(self) -> None:
        """Wait for the work in hand."""
        self._contents.shutdown()
        self._catalog.shutdown()
        self._survey.shutdown()


def translate(work: Callable[[], T]) -> T:
    """Do the work; a failure of the system becomes a StorageError."""
    try:
        return work()
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError("registry cannot write (NoSpace): the disk of its directory is full") from error
        raise StorageError(f"registry storage failed ({error.strerror}): {error.filename or ''}") from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StorageFullError("registry cannot write (NoSpace): the disk of its directory is full") from error
        raise StorageError(f"registry catalog failed ({type(error).__name__}): {error}") from error
