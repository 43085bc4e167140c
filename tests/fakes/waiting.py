"""Waiting for an application to reach a state, told by its changes and not by asking again and again."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from towpath.errors import RemoteError
from towpath.reconcile.status import ApplicationStatus


class Applications(Protocol):
    """What is waited on: the reconciler."""

    def status(self, environment: str) -> ApplicationStatus:
        """How an application stands. Raises NotFoundError."""
        ...

    def on_change(self, listener: Callable[[ApplicationStatus], None]) -> Callable[[], None]:
        """Have `listener` called with each new status; the returned function ends that."""
        ...


async def wait_until(
    applications: Applications,
    environment: str,
    reached: Callable[[ApplicationStatus], bool],
    *,
    timeout_seconds: float,
) -> ApplicationStatus:
    """The first status for which `reached` is true, the present one included.

    Raises:
        NotFoundError: no such environment.
        RemoteError: the time ran out; the text says how the application stands.
    """
    found: asyncio.Future[ApplicationStatus] = asyncio.get_running_loop().create_future()

    def look(status: ApplicationStatus) -> None:
        if status.environment == environment and not found.done() and reached(status):
            found.set_result(status)

    stop = applications.on_change(look)
    try:
        look(applications.status(environment))
        async with asyncio.timeout(timeout_seconds):
            return await found
    except TimeoutError as error:
        status = applications.status(environment)
        why = status.sync_message or status.health_message
        raise RemoteError(
            f"environment {environment} did not get there (Timeout): after {timeout_seconds:g} s it is "
            f"{status.sync} and {status.health}{': ' + why if why else ''}",
            hint=f"`towpath explain {environment}` says why",
        ) from error
    finally:
        stop()
