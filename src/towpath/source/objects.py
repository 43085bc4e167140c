"""Reads objects of a repository through one `git cat-file --batch` child, which may stay for the next question.

A push asks some thirty times within a second, and a child each time would cost more than all the answers. The child
sees what is pushed and packed while it runs: refs are read anew each time, and a missing object makes Git look for new
packs. One exchange at a time; one that is broken off takes the child with it, so that answers never meet the wrong
question.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.errors import UserError
from towpath.source import git
from towpath.source.git import GitError

# 256 KiB: a few pipe buffers.
_CHUNK_BYTES = 256 * 1024
# A child that is there may have been ended by someone; a second one in a row is a fault.
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class GitObject:
    """An object: its id, its type (commit, tree, blob, tag), and its content if that was wanted."""

    id: str
    type: str
    content: bytes = b""


class AmbiguousNameError(UserError):
    """A name is the beginning of several ids."""


class _ChildEndedError(GitError):
    """Git ended in the middle of an answer."""


class ObjectReader:
    """Answers questions about one repository. `close` it if it lingers."""

    def __init__(self, repository: Path, *, clock: Clock, linger_seconds: float = 0.0) -> None:
        """Remember the parts.

        Args:
            repository: the bare repository.
            clock: measures how long nothing was asked.
            linger_seconds: how long an idle child stays; 0 ends it with each answer.
        """
        self._repository = repository
        self._clock = clock
        self._linger_seconds = linger_seconds
        self._lock = asyncio.Lock()
        self._child: git.Child | None = None
        self._asked_at = 0.0
        self._retiring: asyncio.Task[None] | None = None

    async def read(self, names: Sequence[str], *, contents: bool = True, fresh: bool = False) -> list[GitObject | None]:
        """What each name (an id, `<id>:<path>`, any revision without a line break) stands for; None for nothing.

        Args:
            names: what is asked.
            contents: whether the content is wanted too.
            fresh: ask a new child. For beginnings of ids: a child remembers which loose objects there were, and would
                not notice that one has become ambiguous.

        Raises:
            AmbiguousNameError: a name is the beginning of several ids.
            GitError: git failed.
        """
        async with self._lock:
            if fresh:
                await self._stop()
            for attempt in range(_ATTEMPTS):
                try:
                    return await self._exchange(names, contents=contents)
                except (_ChildEndedError, ConnectionError):
                    if attempt == _ATTEMPTS - 1:
                        raise
        raise AssertionError

    async def close(self) -> None:
        """End the child."""
        if self._retiring is not None:
            self._retiring.cancel()
            await asyncio.gather(self._retiring, return_exceptions=True)
            self._retiring = None
        async with self._lock:
            await self._stop()

    async def _exchange(self, names: Sequence[str], *, contents: bool) -> list[GitObject | None]:
        if self._child is None:
            self._child = await git.spawn(self._repository, "cat-file", "--batch")
        child, kept = self._child, False
        asking = asyncio.create_task(_ask(child, names))
        try:
            answers = [await _read_answer(child.stdout, contents=contents) for _ in names]
            await asking
            kept = self._linger_seconds > 0
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            if not kept:
                await asyncio.shield(self._stop())
        if kept:
            self._asked_at = self._clock.monotonic()
            if self._retiring is None or self._retiring.done():
                self._retiring = asyncio.create_task(self._retire())
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, _Ambiguous):
                raise AmbiguousNameError(
                    f"revision {name} is ambiguous (Ambiguous): several objects begin so", hint="give more digits"
                )
        return [answer for answer in answers if not isinstance(answer, _Ambiguous)]

    async def _retire(self) -> None:
        while self._child is not None:
            await self._clock.sleep(self._linger_seconds)
            async with self._lock:
                if self._clock.monotonic() - self._asked_at >= self._linger_seconds:
                    await self._stop()

    async def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.stop()


class _Ambiguous:
    """Stands for a name with several meanings until all answers are read."""


async def _ask(child: git.Child, names: Sequence[str]) -> None:
    with contextlib.suppress(ConnectionError):  # the end of its output tells the reader
        for name in names:
            child.stdin.write(f"{name}\n".encode(errors="surrogateescape"))
            await child.stdin.drain()


async def _read_answer(stdout: asyncio.StreamReader, *, contents: bool) -> GitObject | _Ambiguous | None:
    header = await stdout.readline()
    if not header.endswith(b"\n"):
        raise _ChildEndedError("an object could not be read (Ended): git ended before its answer")
    # `<name> missing`, `<name> ambiguous`, or `<id> <type> <size>`; names may have spaces.
    fields = header.decode(errors="replace").split()
    if fields[-1] == "ambiguous":
        return _Ambiguous()
    if fields[-1] == "missing":
        return None
    try:
        content = await _read_content(stdout, int(fields[2]), contents=contents)
    except asyncio.IncompleteReadError as error:
        raise _ChildEndedError("an object could not be read (Truncated): git ended in the middle of it") from error
    return GitObject(fields[0], fields[1], content)


async def _read_content(stdout: asyncio.StreamReader, size: int, *, contents: bool) -> bytes:
    if contents:
        return (await stdout.readexactly(size + 1))[:size]  # a line break follows each object
    remaining = size + 1
    while remaining:
        remaining -= len(await stdout.readexactly(min(remaining, _CHUNK_BYTES)))
    return b""
