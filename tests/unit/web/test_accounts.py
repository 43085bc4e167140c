"""The routes about robots and pull secrets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from fakes.clock import START, VirtualClock
from towpath.errors import NotFoundError
from towpath.registry.robots import RobotFile
from towpath.web.accounts import AccountsApi
from towpath.web.answers import PREFIX, Guard

CI = {"name": "ci", "repositories": ["home/*"], "allow": ["push"]}


class Served:
    """The routes, and a client with the right token; satisfies `accounts.PullSecrets`."""

    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.robots = RobotFile(directory)
        self.rotated: list[str] = []
        api = AccountsApi(
            guard=Guard("right"),
            robots=self.robots,
            last_used=lambda name, secret_id: START + 5 if name == "ci" and secret_id else None,
            pull_secrets=self,
            registry="127.0.0.1:7070",
            clock=self.clock,
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=[*api.routes()])),
            base_url="http://platform.test",
            headers={"Authorization": "Bearer right"},
        )

    def rotate(self, environment: str) -> list[str]:
        if environment == "qa":
            raise NotFoundError("environment qa has no pull secret (NotFound)")
        self.rotated.append(environment)
        return [environment]

    async def describe(self) -> list[dict[str, Any]]:
        return [{"environment": "dev"}]

    async def get(self, path: str) -> Any:
        return (await self.client.get(PREFIX + path)).json()

    async def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        response = await self.client.post(PREFIX + path, json=body)
        assert response.status_code == status, response.text
        return response.json()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    yield made
    await made.client.aclose()


async def test_a_robot_is_made_and_its_secret_shown_once(served: Served) -> None:
    made = await served.post("/robots", {**CI, "lifetime_seconds": 60})
    assert made["registry"] == "127.0.0.1:7070"
    assert made["secret"].startswith("twr_")
    assert made["robot"]["allow"] == ["pull", "push"]
    assert (made["robot"]["created"], made["robot"]["expires"]) == ("2026-01-31T09:30:00Z", "2026-01-31T09:31:00Z")
    listed = await served.get("/robots")
    assert made["secret"] not in repr(listed)
    assert listed["robots"] == [{**made["robot"], "last_used": "2026-01-31T09:30:05Z"}]


async def test_a_robot_without_a_lifetime_never_expires(served: Served) -> None:
    made = await served.post("/robots", {**CI, "lifetime_seconds": None})
    assert made["robot"]["expires"] is None


async def test_a_robot_is_rotated_and_revoked(served: Served) -> None:
    first = await served.post("/robots", CI)
    second = await served.post("/robots/rotations", {"name": "ci", "overlap_seconds": 60})
    assert second["secret"] != first["secret"]
    assert second["robot"]["secrets"] == 2
    assert await served.post("/robots/revocations", {"name": "ci"}) == {"name": "ci"}
    assert (await served.get("/robots"))["robots"] == []
    assert "NotFound" in (await served.post("/robots/revocations", {"name": "ci"}, status=404))["message"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "CI"}, "BadName"),
        ({"name": 5}, "name"),
        ({"repositories": []}, "NoRepository"),
        ({"repositories": "home/*"}, "NoRepository"),
        ({"repositories": ["127.0.0.1:7070/home/*"]}, "BadRepository"),
        ({"allow": []}, "BadPermission"),
        ({"allow": ["admin"]}, "BadPermission"),
        ({"lifetime_seconds": -1}, "BadNumber"),
        ({"lifetime_seconds": 0}, "BadExpiry"),
        ({"lifetime_seconds": ""}, "BadNumber"),
        ({"lifetime_seconds": "1d"}, "BadNumber"),
        ({"lifetime_seconds": 1e300}, "BadNumber"),
    ],
)
async def test_wrong_input_is_refused_and_makes_nothing(served: Served, change: dict[str, Any], reason: str) -> None:
    refused = await served.post("/robots", {**CI, **change}, status=400)
    assert reason in refused["message"]
    assert served.robots.list() == []


async def test_pull_secrets_are_listed_and_rotated(served: Served) -> None:
    assert await served.get("/secrets") == {"secrets": [{"environment": "dev"}]}
    assert await served.post("/secrets/rotations", {"environment": "dev"}) == {"environments": ["dev"]}
    await served.post("/secrets/rotations", {"environment": "qa"}, status=404)
    await served.post("/secrets/rotations", {})
    assert served.rotated == ["dev", ""]


@pytest.mark.parametrize(("method", "path"), [("GET", "/robots"), ("POST", "/robots"), ("GET", "/secrets")])
async def test_nobody_is_let_in_without_the_token(served: Served, method: str, path: str) -> None:
    response = await served.client.request(method, PREFIX + path, headers={"Authorization": "Bearer wrong"}, json=CI)
    assert response.status_code == 401
    assert served.robots.list() == []
