"""What may be done without credentials where the owner has opened a prefix, and nowhere else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry import ACCOUNTS
from fakes.registry_api import Api, open_api
from towpath.http.credentials import SecretChecker
from towpath.registry.accounts import Accounts, Grant


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Api]:
    grants = (Grant("open/*", frozenset({"pull"})),)
    accounts = Accounts(ACCOUNTS, checker=SecretChecker(key=b"k" * 16), anonymous=grants)
    async with open_api(tmp_path / "registry", VirtualClock(), accounts=accounts) as api:
        yield api


async def anonymously(api: Api, method: str, path: str) -> int:
    return (await api.ask(method, path, user="")).status_code


async def test_what_is_open_is_pulled_without_credentials(opened: Api) -> None:
    blob = await opened.push_blob(b"layer", "open/app")
    assert await anonymously(opened, "GET", f"/v2/open/app/blobs/{blob.digest}") == 200
    assert await anonymously(opened, "GET", "/v2/open/app/tags/list") == 200


async def test_the_rest_stays_shut(opened: Api) -> None:
    assert await anonymously(opened, "GET", "/v2/lab/app/tags/list") == 401
    assert await anonymously(opened, "GET", "/v2/opener/app/tags/list") == 401
    assert await anonymously(opened, "POST", "/v2/open/app/blobs/uploads/") == 401
    assert await anonymously(opened, "DELETE", "/v2/open/app/manifests/x") == 401
    assert await anonymously(opened, "GET", "/v2/_catalog") == 401


async def test_the_root_is_challenged_so_that_clients_send_what_they_have(opened: Api) -> None:
    assert await anonymously(opened, "GET", "/v2/") == 401


async def test_a_token_for_nobody_opens_what_is_open(opened: Api) -> None:
    asked = "/token?scope=repository:open/app:pull,push&scope=repository:lab/app:pull"
    token = (await opened.ask("GET", asked, user="")).json()["token"]
    bearer = f"Bearer {token}"
    assert (await opened.ask("GET", "/v2/", user="", authorization=bearer)).status_code == 200
    assert (await opened.ask("GET", "/v2/open/app/tags/list", user="", authorization=bearer)).status_code == 404
    assert (await opened.ask("POST", "/v2/open/app/blobs/uploads/", user="", authorization=bearer)).status_code == 401
    assert (await opened.ask("GET", "/v2/lab/app/tags/list", user="", authorization=bearer)).status_code == 401


async def test_a_failed_login_is_no_request_for_what_is_open(opened: Api) -> None:
    assert (await opened.client.get("/token", auth=("admin", "wrong"))).status_code == 401
    assert (await opened.client.get("/token", headers={"Authorization": "Basic !!"})).status_code == 401
    assert (await opened.client.get("/v2/open/app/tags/list", auth=("admin", "wrong"))).status_code == 401
