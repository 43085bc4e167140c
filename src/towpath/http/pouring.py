"""From a sender to a worker that keeps what was sent: receiving and keeping overlap, and little is in memory meanwhile.

Where a request has a direct way (`direct`), a large body goes from the socket to the worker without passing through the
event loop; everything else is gathered into pieces that are worth a worker's while.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from starlette.requests import Request

from towpath.http.body import Arrival, Patience
from towpath.http.direct import Direct, Run, find_direct
from towpath.http.line import LineLostError, Take

# 512 KiB: half a millisecond of work, and the most that is gathered at once. Twice that was no faster.
GATHERED_BYTES = 512 * 1024


class RequestBody:
    """What a client sends with a request, within bounds."""

    def __init__(self, request: Request, *, limit: int | None, patience: Patience) -> None:
        """As `body.stream_body`."""
        self._request = request
        self._arrival = Arrival(request, limit=limit, patience=patience)

    async def pour(self, take: Take, *, run: Run) -> None:
        """Hand the body to `take`, in a worker. What came before a failure has been taken. Raises as `stream_body`."""
        self._arrival.check_declared()
        direct = find_direct(self._request.scope)
        if direct is None:
            await _pour(self._arrival.next_piece, take, run=run)
            return
        try:
            # What came before the line was taken over is still to be taken then, and that may fail.
            if await _pour(self._arrival.next_piece, take, run=run, until=direct.take_over):
                await self._pour_rest(direct, take, run=run)
        finally:
            direct.give_back()

    async def _pour_rest(self, direct: Direct, take: Take, *, run: Run) -> None:
        while direct.left:
            before = direct.received
            try:
                is_more_there = await direct.receive_turn(take, run=run)
                self._arrival.count(direct.received - before)
                if direct.left and not is_more_there:
                    await self._arrival.wait(direct.receivable())
            except LineLostError as error:
                raise self._arrival.interrupted() from error


class Pieces:
    """What somebody else hands out in pieces."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    async def pour(self, take: Take, *, run: Run) -> None:
        """Hand the pieces to `take`, in a worker. What came before a failure has been taken."""
        await _pour(lambda: anext(self._pieces, None), take, run=run)


async def _pour(
    next_piece: Callable[[], Awaitable[bytes | None]],
    take: Take,
    *,
    run: Run,
    until: Callable[[], bool] | None = None,
) -> bool:
    """Pour pieces until there are no more, or until somebody says so; whether it was the latter."""
    gathered: list[bytes] = []
    size, is_ended_early = 0, False
    taking: asyncio.Future[None] | None = None
    try:
        while not is_ended_early and (piece := await next_piece()) is not None:
            gathered.append(piece)
            size += len(piece)
            if size >= GATHERED_BYTES:
                if taking:
                    await taking
                taking = asyncio.ensure_future(run(partial(take, gathered)))
                gathered, size = [], 0
            is_ended_early = until is not None and until()
    finally:
        if taking:
            await taking
        if size:
            await run(partial(take, gathered))
    return is_ended_early
