"""The admin token, and tokens of service accounts that still exist; nobody else."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.manifests import SERVICE_ACCOUNT, namespace, options
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.facade.authentication import Authenticator
from towpath.cluster.kernel import Kernel
from towpath.cluster.tokens import LIFETIME_SECONDS, Bearer, ServiceAccountTokens
from towpath.kube.errors import UnauthorizedError
from towpath.kube.objects import Object, uid_of
from towpath.kube.requests import DeleteOptions

ACCOUNT: Object = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "chaos", "namespace": "dev"},
}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def client(tmp_path: Path, clock: VirtualClock) -> Iterator[EmbeddedClient]:
    numbers = count(1)
    kernel = Kernel.open(tmp_path / "cluster", clock=clock, new_uid=lambda: f"uid-{next(numbers)}")
    yield EmbeddedClient(kernel)
    kernel.close()


@pytest.fixture
def tokens(clock: VirtualClock) -> ServiceAccountTokens:
    return ServiceAccountTokens(b"key", clock=clock)


@pytest.fixture
def authenticator(client: EmbeddedClient, tokens: ServiceAccountTokens) -> Authenticator:
    return Authenticator(admin_token="admin-token", tokens=tokens, client=client)


async def issue(client: EmbeddedClient, tokens: ServiceAccountTokens) -> str:
    """A service account, and a token for it."""
    await client.create(namespace("dev"), options())
    account = await client.create(ACCOUNT, options())
    return tokens.issue(Bearer("dev", "chaos", uid_of(account)))


async def test_the_admin_token_may_do_everything(authenticator: Authenticator) -> None:
    assert (await authenticator.authenticate("Bearer admin-token")).is_admin


async def test_a_service_account_is_known_by_its_token(
    authenticator: Authenticator, client: EmbeddedClient, tokens: ServiceAccountTokens
) -> None:
    user = await authenticator.authenticate(f"Bearer {await issue(client, tokens)}")

    assert (user.name, user.is_admin) == ("system:serviceaccount:dev:chaos", False)
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:dev", "system:authenticated")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer ", "Bearer wrong", "Bearer admin-toke", "Bearer admin-token2", "Basic YWRtaW46eA=="]
)
async def test_nobody_else_is_let_in(authenticator: Authenticator, authorization: str) -> None:
    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(authorization)


async def test_a_token_of_a_deleted_account_opens_nothing(
    authenticator: Authenticator, client: EmbeddedClient, tokens: ServiceAccountTokens
) -> None:
    token = await issue(client, tokens)
    await client.delete(SERVICE_ACCOUNT, "chaos", "dev", DeleteOptions())

    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(f"Bearer {token}")


async def test_a_token_does_not_pass_to_a_namesake_of_its_account(
    authenticator: Authenticator, client: EmbeddedClient, tokens: ServiceAccountTokens
) -> None:
    token = await issue(client, tokens)
    await client.delete(SERVICE_ACCOUNT, "chaos", "dev", DeleteOptions())
    await client.create(ACCOUNT, options())

    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(f"Bearer {token}")


async def test_an_expired_token_opens_nothing(
    authenticator: Authenticator, client: EmbeddedClient, tokens: ServiceAccountTokens, clock: VirtualClock
) -> None:
    token = await issue(client, tokens)
    await clock.advance(LIFETIME_SECONDS)

    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(f"Bearer {token}")
