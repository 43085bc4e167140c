"""What `/healthz` tells."""

import httpx
from starlette.applications import Starlette

from towpath.web.health import Health


async def ask(health: Health) -> tuple[int, object]:
    transport = httpx.ASGITransport(Starlette(routes=[health.route()]))
    async with httpx.AsyncClient(transport=transport, base_url="http://towpath") as client:
        answer = await client.get("/healthz")
    return answer.status_code, answer.json()


async def test_it_is_unready_until_every_part_has_started() -> None:
    health = Health(["cluster", "ci"])
    health.ready("ci")

    assert await ask(health) == (503, {"status": "unready", "parts": {"cluster": "starting", "ci": "ready"}})
    health.ready("cluster")
    assert await ask(health) == (200, {"status": "ready", "parts": {"cluster": "ready", "ci": "ready"}})


async def test_it_is_unready_from_the_moment_it_stops() -> None:
    health = Health(["ci"])
    health.ready("ci")
    health.stopping()

    assert await ask(health) == (503, {"status": "unready", "parts": {"ci": "stopping"}})
