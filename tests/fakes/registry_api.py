"""The registry over ASGI, without sockets: `api` asks as an account and gets whole responses."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from fakes.clock import VirtualClock
from fakes.registry import password, prepare_accounts
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.registry.accounts import Accounts
from towpath.registry.app import create_registry_app
from towpath.registry.protocol.exchange import PushEvent
from towpath.registry.service import Registry
from towpath.registry.tokens import TokenSettings
from towpath.registry.traffic import Observer


@dataclass
class Api:
    """One registry and a client for it."""

    registry: Registry
    client: httpx.AsyncClient
    clock: VirtualClock
    root: Path
    pushes: list[PushEvent] = field(default_factory=list)

    async def ask(
        self,
        method: str,
        path: str,
        content: bytes | AsyncIterator[bytes] = b"",
        *,
        user: str = "admin",
        **headers: str,
    ) -> httpx.Response:
        """One request; header names with underscores. `user=""` is anonymous."""
        auth = (user, password(user)) if user else None
        fixed = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, path, content=content, headers=fixed, auth=auth)

    async def push_blob(self, content: bytes, repository: str = "lab/app") -> Descriptor:
        """Push a blob in one request."""
        digest = Digest.of(content)
        response = await self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
        assert response.status_code == 201, response.text
        return Descriptor(media.OCI_LAYER, digest, len(content))

    async def prepare_manifest(self, *layers: bytes, repository: str = "lab/app") -> Manifest:
        """A manifest whose blobs are in the repository."""
        config = await self.push_blob(b'{"os":"linux","architecture":"amd64"}', repository)
        pushed = [await self.push_blob(layer, repository) for layer in layers]
        return Manifest(Descriptor(media.OCI_CONFIG, config.digest, config.size), tuple(pushed))

    async def put(
        self, manifest: Manifest | Index | bytes, tag: str = "canary", *, repository: str = "lab/app", **headers: str
    ) -> httpx.Response:
        """Push a manifest."""
        raw = manifest if isinstance(manifest, bytes) else format_manifest(manifest)
        headers.setdefault("content_type", media.OCI_MANIFEST if isinstance(manifest, Manifest) else "")
        given = {name: value for name, value in headers.items() if value}
        return await self.ask("PUT", f"/v2/{repository}/manifests/{tag}", raw, **given)

    def files(self) -> list[str]:
        """What lies in the registry's directory, apart from its database and its lock."""
        paths: Iterable[Path] = self.root.rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in paths if path.is_file() and path.parent != self.root)


@asynccontextmanager
async def open_api(
    root: Path,
    clock: VirtualClock,
    *,
    accounts: Accounts | None = None,
    observers: Sequence[Observer] = (),
    external_url: str = "",
) -> AsyncIterator[Api]:
    """Start a registry in this directory until the block ends."""
    registry = Registry(root, clock=clock)
    await registry.start()
    pushes: list[PushEvent] = []

    async def note(event: PushEvent) -> None:
        pushes.append(event)

    app = create_registry_app(
        registry,
        accounts or prepare_accounts(),
        on_push=note,
        clock=clock,
        tokens=TokenSettings(external_url=external_url),
        observers=observers,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
            yield Api(registry, client, clock, root, pushes)
    finally:
        await registry.close()


def codes(response: httpx.Response) -> list[str]:
    """The error codes of a response."""
    document: dict[str, Any] = orjson.loads(response.content)
    return [entry["code"] for entry in document["errors"]]
