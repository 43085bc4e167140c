"""Several coroutines at once that fail as one: the first error ends the others and is raised by itself."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def run_all(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Run all to their end; a task group's error without the group around it, so that callers can name its class."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures.exceptions[0].__cause__
