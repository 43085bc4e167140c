"""Start, run until told to stop, stop: the life of `towpath up`."""

import asyncio
import errno
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from towpath import __version__
from towpath.aio.children import finish_starts, watch_children_cheaply
from towpath.aio.clock import SystemClock
from towpath.aio.loading import uncollected
from towpath.errors import TowpathError
from towpath.server.allocation import keep_memory_small
from towpath.server.clusterfile import explain_remembered, recall_cluster, remember_cluster
from towpath.server.descriptors import allow_many_descriptors
from towpath.server.remotefile import recall_remote
from towpath.server.runfile import RunInfo
from towpath.server.running import Lock, remove_run_info, write_run_info
from towpath.server.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """What to tell the user about a platform that has started."""

    name: str
    branch: str
    url: str
    runtime: str
    start_seconds: float
    remote: str = ""
    warnings: tuple[str, ...] = ()
    tls_registry: str = ""
    trusted: Path | None = None


def run_platform(settings: Settings, *, on_ready: Callable[[Running], None], verbose: bool = False) -> None:
    """Run a platform in this process until SIGINT, SIGTERM or SIGHUP.

    Raises:
        ConflictError: another process runs it.
        TowpathError: it cannot start; nothing was left running.
    """
    started = time.monotonic()
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings.state.mkdir(mode=0o700, exist_ok=True)
    with Lock(settings.state):
        asked, settings = settings, recall_cluster(recall_remote(settings))
        keep_memory_small()
        allow_many_descriptors()
        watch_children_cheaply()
        try:
            asyncio.run(_run(settings, on_ready, started))
        except TowpathError as error:
            explain_remembered(asked, error)
            raise


async def _run(settings: Settings, on_ready: Callable[[Running], None], started: float) -> None:
    with uncollected():
        from towpath.server.platform import Platform  # noqa: PLC0415 - the lock is taken before the heavy part

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    try:
        platform = Platform(settings, clock=SystemClock())
        try:
            endpoints = await platform.start()
            remember_cluster(settings)
            tls = platform.encryption
            info = RunInfo(
                os.getpid(),
                endpoints.url,
                endpoints.kube_url,
                __version__,
                trusted=str(tls.trusted.resolve()) if tls else "",
                server_name=tls.name if tls else "",
                registry=settings.registry_host,
                registry_plain_http=settings.speaks_plain_http(settings.registry_host),
            )
            write_run_info(settings.state, info)
            seconds = time.monotonic() - started
            on_ready(
                Running(
                    platform.name,
                    settings.branch,
                    endpoints.url,
                    platform.cluster.facts.summary,
                    seconds,
                    settings.remote,
                    await platform.checkup.find_warnings(),
                    settings.registry_host if tls else "",
                    tls.trusted if tls else None,
                )
            )
            await stop.wait()
        finally:
            remove_run_info(settings.state)
            await platform.close()
            await finish_starts()
    except OSError as error:
        # No space, no permission: said in one line, with the file, instead of a traceback.
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise TowpathError(
            f"platform {settings.root} cannot go on ({'NoSpace' if full else type(error).__name__}): {error}",
            hint="free some disk space; what was acknowledged is kept" if full else "",
        ) from error
