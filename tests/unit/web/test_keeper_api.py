"""The routes about the registry's keeper."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from towpath.blueprint.model import Keeping
from towpath.registry.keeper.collection import Collected
from towpath.registry.keeper.evidence import EvidenceError, Reason, Root, Why
from towpath.registry.keeper.facts import LinkFact, ManifestFact, TagFact
from towpath.registry.keeper.findings import Damage, Progress
from towpath.registry.keeper.plan import Decision, Plan
from towpath.registry.keeper.usage import RepositoryUsage, Usage
from towpath.server.keeper import Findings
from towpath.web.answers import Guard
from towpath.web.keeper import KeeperApi

FACT = ManifestFact("home/app", "sha256:1", 10, 0.0, tags=(TagFact("v1", 0.0),))
PLAN = Plan(
    decisions=(Decision(FACT, (Reason(Why.PINNED, "named in prod"),), 100), Decision(FACT, (), 100, "unneeded")),
    links=(),
    blobs=("sha256:2",),
    freed_bytes=110,
    held_blobs=((LinkFact("home/app", "sha256:3", 0.0), Reason(Why.LEASE, "asked for 1m ago")),),
    missing=(Root("sha-1", Reason(Why.ROLLBACK, "release of prod"), "home/app"),),
    mark="",
    unseen="Pod outside of dev",
)


class FakeKeeper:
    """Answers with what a test put in."""

    def __init__(self) -> None:
        self.applied: list[bool] = []
        self.accepted: list[bool] = []
        self.scrubs = 0
        self.progress: Progress | None = None
        self.is_refused = False

    async def collect(self, *, apply: bool, accepts_unseen: bool = False) -> Findings:
        if self.is_refused:
            raise EvidenceError("collection was refused (NoEvidence)")
        self.applied.append(apply)
        self.accepted.append(accepts_unseen)
        return Findings(PLAN, Collected(1, 100, "it has changed") if apply else None)

    async def usage(self) -> tuple[Usage, Keeping]:
        return Usage((RepositoryUsage("home/app", 1, 2, 3, 4, 5),), 6, 7), Keeping(quota={"a/*": 1, "total": 2})

    def start_scrub(self, *, bytes_per_second: float | None = None) -> None:
        assert bytes_per_second is None
        self.scrubs += 1

    def scrub_progress(self) -> Progress | None:
        return self.progress

    async def needed(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return {FACT.key: ("pinned: named in prod",)}


@pytest.fixture
def keeper() -> FakeKeeper:
    return FakeKeeper()


async def ask(
    keeper: FakeKeeper, method: str, path: str, *, token: str = "secret", body: bytes = b"{}"
) -> tuple[int, Any]:
    app = Starlette(routes=KeeperApi(Guard("secret"), keeper).routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://platform.test") as client:
        headers = {"Authorization": f"Bearer {token}"}
        content = body if method == "POST" else b""
        response = await client.request(method, f"/api/v1/registry{path}", headers=headers, content=content)
        return response.status_code, response.json()


@pytest.mark.parametrize(("method", "path"), [("GET", "/usage"), ("POST", "/collections"), ("POST", "/scrubs")])
async def test_nobody_without_the_token_learns_or_does_anything(keeper: FakeKeeper, method: str, path: str) -> None:
    status, _ = await ask(keeper, method, path, token="wrong")

    assert (status, keeper.applied, keeper.scrubs) == (401, [], 0)


async def test_asking_plans_and_posting_removes(keeper: FakeKeeper) -> None:
    _, planned = await ask(keeper, "GET", "/collections")
    _, done = await ask(keeper, "POST", "/collections")

    assert keeper.applied == [False, True]
    assert (planned["applied"], planned["removed"], planned["kept"], planned["freed_bytes"]) == (False, 1, 1, 110)
    assert "collected" not in planned
    assert done["collected"] == {"manifests": 1, "blobs_bytes": 100, "interrupted": "it has changed"}
    kept, removed = planned["manifests"]
    assert kept["reasons"] == [{"reason": "pinned", "evidence": "named in prod"}]
    assert (kept["decision"], kept["tags"], kept["bytes"]) == ("kept", ["v1"], 100)
    assert (removed["decision"], removed["removal"]) == ("removed", "unneeded")
    assert planned["held_blobs"][0]["reason"] == "lease"
    assert planned["missing"][0]["reference"] == "sha-1"


async def test_what_may_not_be_seen_is_named_and_accepted_by_word_alone(keeper: FakeKeeper) -> None:
    _, planned = await ask(keeper, "GET", "/collections")
    for body in (b"{}", b'{"accept_unseen":true}', b'{"accept_unseen":"false"}'):
        await ask(keeper, "POST", "/collections", body=body)

    assert planned["unseen"] == "Pod outside of dev"
    assert keeper.accepted == [False, False, True, False]


async def test_a_refusal_has_its_exit_code(keeper: FakeKeeper) -> None:
    keeper.is_refused = True

    assert await ask(keeper, "POST", "/collections") == (
        409,
        {"message": "collection was refused (NoEvidence)", "hint": "", "exit_code": 3},
    )


async def test_usage_names_the_total_quota_first(keeper: FakeKeeper) -> None:
    status, usage = await ask(keeper, "GET", "/usage")

    assert (status, list(usage["quota"].items())) == (200, [("total", 2), ("a/*", 1)])
    assert usage["repositories"][0] == {
        "repository": "home/app",
        "tags": 1,
        "manifests": 2,
        "blobs": 3,
        "own_bytes": 4,
        "shared_bytes": 5,
    }


async def test_a_scrub_is_begun_and_followed(keeper: FakeKeeper) -> None:
    assert await ask(keeper, "GET", "/scrubs") == (200, {"running": False, "damages": []})
    assert await ask(keeper, "POST", "/scrubs") == (200, {"started": True})
    keeper.progress = Progress(0.0, 1, 10, 20)
    _, going_on = await ask(keeper, "GET", "/scrubs")
    keeper.progress = Progress(0.0, 2, 20, 20, (Damage("sha256:2", "it is damaged", (FACT,)),), 60.0)
    _, ended = await ask(keeper, "GET", "/scrubs")

    assert (keeper.scrubs, going_on["running"], ended["running"]) == (1, True, False)
    assert ended["damages"][0]["affected"] == [
        {"repository": "home/app", "digest": "sha256:1", "tags": ["v1"], "needed": ["pinned: named in prod"]}
    ]
