"""A real registry on loopback for tests: `async with serve_registry(tmp_path) as server`.

It is the product's own registry with four accounts: `admin` may do everything, `pusher` pulls from and pushes to
`lab/*`, `reader` pulls from there, and `stranger` may do nothing. Each password is the name with `-secret` after it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.routing import Router

from towpath.aio.clock import Clock, SystemClock
from towpath.http.body import Patience
from towpath.http.credentials import SecretChecker, hash_secret
from towpath.http.server import Listener
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.registry.accounts import Account, Accounts, Grant, StoredSecret
from towpath.registry.app import create_registry_app
from towpath.registry.protocol.exchange import PushEvent
from towpath.registry.pullthrough import Upstream
from towpath.registry.service import Registry

GRANTS = {
    "admin": (Grant("*"),),
    "reader": (Grant("lab/*", frozenset({"pull"})),),
    "pusher": (Grant("lab/*", frozenset({"pull", "push"})),),
    "stranger": (),
}


def make_account(name: str, secret: str, grants: tuple[Grant, ...]) -> Account:
    """An account with one secret, hashed cheaply."""
    return Account(name, (StoredSecret("1", hash_secret(secret, salt=name.ljust(16).encode(), iterations=2)),), grants)


ACCOUNTS = tuple(make_account(name, f"{name}-secret", grants) for name, grants in GRANTS.items())


def password(name: str) -> str:
    """The password of a test account."""
    return f"{name}-secret"


def prepare_accounts(more: Sequence[Account] = ()) -> Accounts:
    """The accounts, and some more."""
    return Accounts([*ACCOUNTS, *more], checker=SecretChecker(key=b"test" * 8))


@dataclass
class RegistryServer:
    """A running registry; `pushes` is what its listener was told."""

    registry: Registry
    app: Router
    listener: Listener
    pushes: list[PushEvent] = field(default_factory=list)

    @property
    def host(self) -> str:
        """`127.0.0.1:<port>`."""
        return self.listener.address

    def reference(self, name: str) -> Reference:
        """A reference within this registry: `lab/app:v1`."""
        return Reference.parse(f"{self.host}/{name}")

    def client(self, user: str = "admin", clock: Clock | None = None) -> RegistryClient:
        """A client with the credentials of one account; an empty user is anonymous."""
        entries = {self.host: Credential(user, password(user))} if user else {}
        return RegistryClient(keyring=Keyring.of(entries), clock=clock)


@asynccontextmanager
async def serve_registry(
    root: Path,
    *,
    clock: Clock | None = None,
    upstreams: Mapping[str, Upstream] | None = None,
    patience: Patience | None = None,
    accounts: Sequence[Account] = (),
) -> AsyncIterator[RegistryServer]:
    """Run a registry in this directory until the block ends."""
    clock = clock or SystemClock()
    registry = Registry(root, clock=clock, upstreams=upstreams)
    pushes: list[PushEvent] = []

    async def note(event: PushEvent) -> None:
        pushes.append(event)

    app = create_registry_app(registry, prepare_accounts(accounts), on_push=note, clock=clock, patience=patience)
    listener = Listener(app, grace_seconds=0.5)
    await registry.start()
    try:
        await listener.start()
        yield RegistryServer(registry, app, listener, pushes)
    finally:
        await listener.close()
        await registry.close()


async def push_bytes(client: RegistryClient, reference: Reference, content: bytes, media_type: str) -> Descriptor:
    """Push a blob; returns its descriptor."""
    descriptor = Descriptor(media_type, Digest.of(content), len(content))

    async def open_blob() -> AsyncIterator[bytes]:
        yield content

    await client.push_blob(reference, descriptor, open_blob)
    return descriptor


async def push_image(
    client: RegistryClient,
    reference: Reference,
    *,
    layers: tuple[bytes, ...] = (b"layer",),
    platform: Platform = Platform("linux", "amd64"),  # noqa: B008 - frozen
    labels: dict[str, str] | None = None,
) -> Descriptor:
    """Push a small image; returns the descriptor of its manifest."""
    config = ImageConfig(platform, labels=labels or {}, diff_ids=tuple(Digest.of(layer) for layer in layers))
    manifest = Manifest(
        await push_bytes(client, reference, format_image_config(config), media.OCI_CONFIG),
        tuple([await push_bytes(client, reference, layer, media.OCI_LAYER) for layer in layers]),
    )
    raw = format_manifest(manifest)
    digest = await client.push_manifest(reference, raw, media.OCI_MANIFEST)
    return Descriptor(media.OCI_MANIFEST, digest, len(raw), platform=platform)
