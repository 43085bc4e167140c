"""A pod may do what a Role of the namespace gives its account, there and nowhere else."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import VirtualClock
from fakes.manifests import namespace, options
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.facade.authentication import User
from towpath.cluster.facade.authorization import Authorizer
from towpath.cluster.facade.paths import parse_request
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import ForbiddenError
from towpath.kube.objects import Object

ADMIN = User("towpath:admin", ("system:masters",), is_admin=True)
CHAOS = User("system:serviceaccount:dev:chaos", ("system:serviceaccounts", "system:serviceaccounts:dev"))
NAMESAKE = User("system:serviceaccount:prod:chaos", ("system:serviceaccounts", "system:serviceaccounts:prod"))
PODS = "/api/v1/namespaces/dev/pods"


def role() -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": "dev"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    }


def binding(*subjects: dict[str, Any], to: str = "reader") -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "readers", "namespace": "dev"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": to},
        "subjects": list(subjects),
    }


ACCOUNT = {"kind": "ServiceAccount", "name": "chaos", "namespace": "dev"}
GROUP = {"kind": "Group", "name": "system:serviceaccounts:dev", "apiGroup": "rbac.authorization.k8s.io"}
PERSON = {"kind": "User", "name": CHAOS.name, "apiGroup": "rbac.authorization.k8s.io"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[EmbeddedClient]:
    numbers = count(1)
    kernel = Kernel.open(tmp_path / "cluster", clock=VirtualClock(), new_uid=lambda: f"uid-{next(numbers)}")
    client = EmbeddedClient(kernel)
    for name in ("dev", "prod"):
        await client.create(namespace(name), options())
    yield client
    kernel.close()


async def may(client: EmbeddedClient, user: User, method: str, path: str) -> bool:
    try:
        await Authorizer(client).require(user, parse_request(method, path, {}))
    except ForbiddenError:
        return False
    return True


async def test_without_a_role_an_account_may_do_nothing_and_the_administrator_everything(
    client: EmbeddedClient,
) -> None:
    assert not await may(client, CHAOS, "GET", PODS)
    assert await may(client, ADMIN, "DELETE", PODS)
    assert await may(client, ADMIN, "GET", "/api/v1/nodes")


@pytest.mark.parametrize("subject", [ACCOUNT, GROUP, PERSON], ids=["account", "group", "user"])
async def test_a_bound_role_gives_what_it_names(client: EmbeddedClient, subject: dict[str, Any]) -> None:
    await client.create(role(), options())
    await client.create(binding(subject), options())

    assert await may(client, CHAOS, "GET", PODS)
    assert not await may(client, CHAOS, "DELETE", f"{PODS}/sensor-0")
    assert not await may(client, CHAOS, "GET", "/api/v1/namespaces/dev/secrets")
    assert not await may(client, NAMESAKE, "GET", PODS)


@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces/prod/pods", "/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces"]
)
async def test_a_role_ends_at_its_namespace(client: EmbeddedClient, path: str) -> None:
    await client.create(role(), options())
    await client.create(binding(ACCOUNT), options())

    assert not await may(client, CHAOS, "GET", path)


async def test_a_binding_to_a_role_that_is_not_there_gives_nothing(client: EmbeddedClient) -> None:
    await client.create(role(), options())
    await client.create(binding(ACCOUNT, to="writer"), options())

    assert not await may(client, CHAOS, "GET", PODS)


async def test_the_refusal_says_who_may_not_do_what_and_where(client: EmbeddedClient) -> None:
    with pytest.raises(ForbiddenError) as caught:
        await Authorizer(client).require(CHAOS, parse_request("GET", f"{PODS}/sensor-0/log", {}))

    assert caught.value.message == (
        'pods "sensor-0" is forbidden: User "system:serviceaccount:dev:chaos" cannot get resource "pods/log" in API '
        'group "" in the namespace "dev"'
    )
