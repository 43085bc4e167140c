"""A whole platform inside the test's own process: real ports, real git clients, real pods."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from fakes.lab import lab_files
from fakes.platform import PATIENCE_SECONDS, free_ports
from fakes.worktree import Worktree
from towpath.aio.clock import Clock, SystemClock
from towpath.server import credentials
from towpath.server.platform import Endpoints, Platform
from towpath.server.settings import Settings


class InProcess:
    """A platform that runs in this event loop; an asynchronous context manager."""

    def __init__(self, directory: Path, *, clock: Clock | None = None, **options: Any) -> None:
        """Make it. `options` are those of `Settings`; the ports are free ones unless named."""
        port, kube_port = free_ports(2)
        directory.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(directory, **{"port": port, "kube_port": kube_port, **options})
        self.settings.state.mkdir(mode=0o700, exist_ok=True)
        self.platform = Platform(self.settings, clock=clock or SystemClock())
        self.endpoints: Endpoints
        self._client: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        token = credentials.read(self.settings.state).admin_token
        try:
            self.endpoints = await self.platform.start()
        except BaseException:
            await self.platform.close()
            raise
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.AsyncClient(base_url=self.endpoints.url, headers=headers, timeout=120)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()
        await self.platform.close()

    @property
    def prefix(self) -> str:
        """Of its images."""
        return f"{self.settings.address}/{self.platform.name}"

    @property
    def git_url(self) -> str:
        """Of the repository it serves, with the password."""
        token = credentials.read(self.settings.state).admin_token
        return f"http://towpath:{token}@{self.settings.address}/git/{self.platform.name}.git"

    def files(self) -> Mapping[str, str]:
        """A platform repository of two tiny services."""
        return lab_files(self.prefix)

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request with the right token."""
        return await self._client.request(method, path, **options)

    async def get(self, path: str, **query: str) -> Any:
        """A document of the platform API."""
        return (await self.request("GET", f"/api/v1{path}", params=query)).json()

    async def post(self, path: str, body: Any) -> Any:
        """A document of the platform API."""
        return (await self.request("POST", f"/api/v1{path}", json=body)).json()

    async def service(self, environment: str, service: str) -> dict[str, Any]:
        """One service of `status`; empty when there is none."""
        for one in (await self.get("/status"))["environments"]:
            for found in one["services"]:
                if (one["name"], found["service"]) == (environment, service):
                    return dict(found)
        return {}

    async def until(self, environment: str, service: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a service is as wanted; what `status` says of it then."""
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (seen and holds(seen)):
                    await asyncio.sleep(0.05)
                    seen = await self.service(environment, service)
        except TimeoutError as error:
            raise AssertionError(f"waited in vain: {seen}, {await self.get('/explain')}") from error
        return seen


async def push(worktree: Worktree, *arguments: str) -> str:
    """Push with the real git, while the event loop serves."""
    return await asyncio.to_thread(worktree.push, *arguments)
