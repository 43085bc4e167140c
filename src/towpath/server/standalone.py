"""A registry on its own, as a process: storage, robots, TLS, numbers, access log, and nothing of a platform.

It serves `/v2/…` and `/token`, `/healthz` to everybody, and `/metrics` to every robot (Basic). Its directory is its
own: images, robots, and the key that its tokens are signed with, so that logins outlast a restart. It must start in
0.15 s and live in 45 MiB, so nothing is imported here that a registry does not need.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from towpath.aio.clock import Clock, SystemClock
from towpath.aio.files import write_durably
from towpath.aio.tasks import Background
from towpath.errors import TowpathError
from towpath.http.credentials import SecretChecker, parse_basic
from towpath.http.hosts import is_loopback_host, split_port
from towpath.http.server import ANY_HOST, Listener
from towpath.oci.challenge import PULL
from towpath.registry.access_log import AccessLog
from towpath.registry.accounts import Accounts, Grant
from towpath.registry.app import create_registry_app
from towpath.registry.counters import Counters
from towpath.registry.exposition import format_exposition
from towpath.registry.keeper.evidence import NoEvidence
from towpath.registry.keeper.policy import Policy
from towpath.registry.keeper.quota import Quota
from towpath.registry.protocol.exchange import OnPush
from towpath.registry.robots import RobotFile
from towpath.registry.service import Registry
from towpath.registry.tokens import TokenSettings
from towpath.server.allocation import keep_memory_small
from towpath.server.descriptors import allow_many_descriptors
from towpath.server.registrysettings import RegistrySettings, check_settings

if TYPE_CHECKING:
    from towpath.server.upstreams import Upstreams

log = logging.getLogger(__name__)

KEY_FILE = "token.key"
KEY_BYTES = 32
STANDARD_ERROR = "-"
# What is under way when the stop is asked for, such as a large layer, may end for so long.
GRACE_SECONDS = 10.0
LOOK_SECONDS = 3600.0
# The keeper's commands ask a platform, or a registry at rest; who reads this pushes to one that runs.
_ROOM_ADVICE = "start `towpath registry serve` with a larger --quota, or delete tags and let --collect-daily make room"
DAY_SECONDS = 86_400.0
SCRUB_SECONDS = 7 * DAY_SECONDS
# As on a platform: a hundredth of what a small disk does.
SCRUB_BYTES_PER_SECOND = 8 * 1024 * 1024


class StandaloneRegistry:
    """A registry; `start` it once, `close` it once."""

    def __init__(self, settings: RegistrySettings, *, clock: Clock) -> None:
        """Prepare. Raises UserError when the settings make no sense or the access log cannot be written."""
        check_settings(settings)
        self._stack = AsyncExitStack()
        self._upstreams = _make_upstreams(settings, clock)
        filling = self._upstreams.filling if self._upstreams else None
        self._registry = Registry(settings.root, clock=clock, upstreams=filling)
        self._counters = Counters(read_holdings=self._registry.count_holdings)
        self._settings = settings
        self._clock = clock
        self._accounts = Accounts(
            [],
            checker=SecretChecker(key=os.urandom(KEY_BYTES)),
            robots=RobotFile(settings.root),
            clock=clock,
            anonymous=[Grant(glob, frozenset({PULL})) for glob in settings.anonymous_pull],
        )

    async def start(self) -> str:
        """Open the directory and listen; the address.

        Raises:
            ListenError: the port is taken, or the certificate cannot be used.
            UserError: another process has the directory, or the access log cannot be written.
            TowpathError: stored state cannot be used.
        """
        try:
            return await self._start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let requests in flight end, then let go of everything."""
        await self._stack.aclose()

    async def _start(self) -> str:
        settings = self._settings
        if self._upstreams:
            self._stack.push_async_callback(self._upstreams.close)
            await self._upstreams.start()
            self._upstreams.warn_of_strangers(settings.anonymous_pull)
        await self._registry.start()
        self._stack.push_async_callback(self._registry.close)
        self._registry.limit(Quota(settings.quota_bytes, advice=_ROOM_ADVICE))
        background = Background()
        self._stack.push_async_callback(background.close)
        background.run_forever("registry scrub", self._scrub_for_ever)
        if settings.collect_daily:
            background.run_forever("registry collection", self._collect_for_ever)
        observers: list[Counters | AccessLog] = [self._counters]
        if settings.access_log:
            access_log = AccessLog(None if settings.access_log == STANDARD_ERROR else Path(settings.access_log))
            self._stack.callback(access_log.close)
            observers.append(access_log)
        app = create_registry_app(
            self._registry,
            self._accounts,
            on_push=await self._start_notifier() if settings.notify else None,
            clock=self._clock,
            tokens=TokenSettings(_load_key(settings.root), settings.external_url),
            observers=observers,
        )
        routes = [
            *app.routes,
            Route("/healthz", _tell_health, methods=["GET"]),
            Route("/metrics", self._tell_metrics, methods=["GET"]),
        ]
        certificate, key = settings.tls_certificate, settings.tls_key
        if settings.makes_certificate:
            certificate, key = self._ensure_certificate()
            background.run_forever("certificate renewal", self._renew_for_ever)
        listener = Listener(
            Router(routes=routes),
            host=settings.host,
            port=settings.port,
            certificate=certificate,
            key=key,
            # A page that rebinds its name reaches loopback only; elsewhere people give a registry names of their own.
            hosts=_served_hosts(settings),
            grace_seconds=GRACE_SECONDS,
            clock=self._clock,
        )
        await listener.start()
        self._stack.push_async_callback(listener.close)
        return listener.url

    async def _start_notifier(self) -> OnPush:
        from towpath.server.notifying import open_notifier  # noqa: PLC0415 - few use it, and it costs the start 20 ms

        settings = self._settings
        notifier = open_notifier(
            settings.root,
            settings.notify,
            secret_file=settings.notify_secret_file,
            instance=str(settings.root),
            clock=self._clock,
        )
        self._stack.push_async_callback(notifier.close)
        await notifier.start(self._registry.read_tags)
        return notifier.pushed

    def _ensure_certificate(self) -> tuple[Path, Path]:
        from towpath.server.owncertificate import ensure_own_certificate  # noqa: PLC0415 - clear text needs none of it

        settings = self._settings
        advertised = [split_port(settings.advertise)] if settings.advertise else []
        names = [settings.host, *settings.tls_names, *advertised]
        made = ensure_own_certificate(settings.tls_directory, names=names, now=self._clock.now())
        return made.certificate, made.key

    async def _renew_for_ever(self) -> None:
        while True:
            await self._clock.sleep(DAY_SECONDS)
            self._ensure_certificate()  # the listener looks at its files with every hello

    async def _collect_for_ever(self) -> None:
        collector = self._registry.collector
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            ended = collector.find_last_end()
            if ended is None or self._clock.now() - ended >= DAY_SECONDS:
                # Nobody outside can be asked what is needed, so every tag stays, and what tags lead to.
                await collector.collect(NoEvidence(), Policy())

    async def _scrub_for_ever(self) -> None:
        scrub = self._registry.scrub
        find_upstream = self._upstreams.find_mender if self._upstreams else lambda _: None
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            ended = scrub.find_last_end()
            if ended is not None and self._clock.now() - ended < SCRUB_SECONDS:
                continue
            done = await scrub.run(bytes_per_second=SCRUB_BYTES_PER_SECOND, find_upstream=find_upstream, resume=True)
            for damage in done.damages:
                outcome = (
                    f"mended from the upstream of {damage.repaired_from}" if damage.repaired_from else "push it again"
                )
                log.error("%s; %s", damage.problem, outcome)

    async def _tell_metrics(self, request: Request) -> Response:
        basic = parse_basic(request.headers.get("authorization", ""))
        if basic is None or await self._accounts.authenticate(basic.username, basic.password) is None:
            return Response(
                "a robot's name and secret are required\n", 401, {"WWW-Authenticate": 'Basic realm="metrics"'}
            )
        content, content_type = format_exposition(self._counters.families(), accept=request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": content_type})


def run_registry(settings: RegistrySettings, *, on_ready: Callable[[str], None]) -> None:
    """Run a registry in this process until SIGINT, SIGTERM or SIGHUP. Raises TowpathError."""
    keep_memory_small()
    allow_many_descriptors()
    asyncio.run(_run(settings, on_ready))


async def _run(settings: RegistrySettings, on_ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    registry = StandaloneRegistry(settings, clock=SystemClock())
    try:
        on_ready(await registry.start())
        await stop.wait()
    finally:
        await registry.close()


async def _tell_health(request: Request) -> Response:
    del request
    return Response(b'{"status":"ready"}', media_type="application/json")


def _served_hosts(settings: RegistrySettings) -> list[str]:
    if not is_loopback_host(settings.host):
        return [ANY_HOST]
    return [split_port(settings.advertise)] if settings.advertise else []


def _make_upstreams(settings: RegistrySettings, clock: Clock) -> "Upstreams | None":
    """Who fills and mends it; None without the import of a client when nobody does. Raises UserError."""
    if not settings.upstreams and not settings.mend_from:
        return None
    from towpath.server.upstreams import Upstreams  # noqa: PLC0415 - few use it, and a client costs start and memory

    return Upstreams(fill=settings.upstreams, mend=settings.mend_from, logins=settings.upstream_logins, clock=clock)


def _load_key(root: Path) -> bytes:
    """What tokens are signed with; made at the first start. Raises TowpathError."""
    path = root / KEY_FILE
    try:
        with contextlib.suppress(FileNotFoundError):
            key = path.read_bytes()
            if len(key) == KEY_BYTES:
                return key
        key = os.urandom(KEY_BYTES)
        write_durably(path, key, mode=0o600)
    except OSError as error:
        raise TowpathError(f"{path} cannot be used ({type(error).__name__}): {error.strerror}") from error
    return key
