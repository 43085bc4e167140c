"""The keeper of a registry on its own that does not run: its directory is opened for one question, and let go.

It takes the directory's lock, so that nothing is served, pushed or removed by another process meanwhile. As with
`--collect-daily` there is no evidence from outside: every tag stays, and what tags lead to. The registry of a platform
is not collected so, because only the platform knows what Git names and the cluster runs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from towpath.aio.clock import Clock
from towpath.blueprint.model import Keeping
from towpath.errors import ConflictError, NotFoundError
from towpath.registry.keeper.evidence import NoEvidence
from towpath.registry.keeper.policy import Policy
from towpath.registry.keeper.usage import count_usage
from towpath.registry.service import DirectoryInUseError, Registry
from towpath.server.serving import refuse_collection
from towpath.web.keeper import collection_document, scrub_document, usage_document

T = TypeVar("T")
Document = dict[str, Any]
LOOK_SECONDS = 0.2
# Nobody asks for anything while it is not served, so there is nobody to wait for; what was pushed keeps its grace.
POLICY = Policy(settling_seconds=0.0)


class RestingKeeper:
    """The keeper of one directory; the documents are those of the platform's API."""

    def __init__(self, root: Path, *, clock: Clock) -> None:
        """Prepare. Raises NotFoundError when no registry was ever served from the directory."""
        if not (root / "catalog.db").is_file():
            raise NotFoundError(
                f"{root} is no registry (NotFound): expected catalog.db in it",
                hint="name the directory of `towpath registry serve --root`, which makes it",
            )
        self._root = root
        self._clock = clock

    def usage(self) -> Document:
        """What each repository holds. Raises ConflictError, StorageError."""

        async def count(registry: Registry) -> Document:
            return usage_document(count_usage(await registry.collector.survey()), Keeping())

        return self._ask(count)

    def collect(self, *, apply: bool) -> Document:
        """What nothing needs; removed when that is meant. Raises RefusedError, ConflictError, StorageError."""
        refuse_collection(self._root)

        async def collect(registry: Registry) -> Document:
            if not apply:
                return collection_document(await registry.collector.plan(NoEvidence(), POLICY), None)
            return collection_document(*await registry.collector.collect(NoEvidence(), POLICY))

        return self._ask(collect)

    def scrub(self, on_progress: Callable[[Document], None]) -> Document:
        """Read everything again, and tell how far it is meanwhile. Raises ConflictError, StorageError."""

        async def scrub(registry: Registry) -> Document:
            running = asyncio.create_task(registry.scrub.run())
            try:
                while not (await asyncio.wait({running}, timeout=LOOK_SECONDS))[0]:
                    if registry.scrub.progress:
                        on_progress(scrub_document(registry.scrub.progress, {}))
                return scrub_document(await running, {})
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running

        return self._ask(scrub)

    def last_scrub(self) -> Document:
        """What the last one found. Raises ConflictError, StorageError."""

        async def look(registry: Registry) -> Document:
            noted = registry.scrub.progress
            return scrub_document(noted, {}) if noted else {"running": False, "damages": []}

        return self._ask(look)

    def _ask(self, question: Callable[[Registry], Awaitable[T]]) -> T:
        async def ask() -> T:
            async with self._opened() as registry:
                return await question(registry)

        return asyncio.run(ask())

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Registry]:
        registry = Registry(self._root, clock=self._clock)
        try:
            await registry.start()
        except DirectoryInUseError as error:
            raise ConflictError(
                f"registry {self._root} is running (InUse): another process serves it",
                hint="stop it first; while it runs it collects by `towpath registry serve --collect-daily`, and scrubs "
                "by itself once a week",
            ) from error
        try:
            yield registry
        finally:
            await registry.close()
