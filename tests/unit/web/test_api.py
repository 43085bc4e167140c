"""The routes of the platform API, over ASGI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from fakes.clock import START
from fakes.observed import Observed
from fakes.promotion_world import World
from towpath.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    RemoteError,
    TowpathError,
    UserError,
)
from towpath.kube.diff import FieldChange
from towpath.kube.objects import GVK, ObjectKey
from towpath.observe.metrics import Metrics
from towpath.observe.output import ServiceOutput
from towpath.reconcile.changes import Action, Change, ChangeSet
from towpath.reconcile.verdicts import Outcome
from towpath.web.answers import BODY_LIMIT, PREFIX, Guard
from towpath.web.api import PlatformApi

TOKEN = "the-token"
READING = ("status", "history", "timeline", "where/main", "events", "explain", "diff", "doctor", "logs")
WRITING = ("promotions", "rollbacks", "holds", "reconciliations")


@dataclass
class FakeControl:
    """Satisfies `web.api.Control`."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    held: bool = True

    async def diff(self, environment: str) -> ChangeSet:
        if self.error is not None:
            raise self.error
        key = ObjectKey("", "ConfigMap", environment, "settings")
        changes = (FieldChange("data.level", "low", "high"), FieldChange("data.text", None, "x" * 500))
        change = Change(key, GVK("", "v1", "ConfigMap"), Action.CONFIGURED, fields=changes)
        return ChangeSet((change,))

    async def hold(self, environment: str, *, reason: str, by: str = "", until: float | None = None) -> None:
        self.calls.append(("hold", environment, reason, by, until))

    async def resume(self, environment: str) -> bool:
        self.calls.append(("resume", environment))
        return self.held

    def confirm_prune(self, environment: str) -> None:
        self.calls.append(("confirm_prune", environment))

    def trigger(self, environment: str, reason: str) -> None:
        self.calls.append(("trigger", environment, reason))


class Lines:
    """Satisfies `observe.output.PodLogs`."""

    async def logs(self, namespace: str, pod: str, container: str, **options: object) -> AsyncIterator[bytes]:
        del container, options
        yield f"{namespace}/{pod} says hello\n".encode()


class Api:
    """The API of an observed platform, and a client with the right token."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.world: World = observed.world
        self.control = FakeControl()
        self.metrics = Metrics(version="1")
        api = PlatformApi(
            sources=observed.sources,
            control=self.control,
            desk=self.world.desk(),
            past=self.world.runtime,
            metrics=self.metrics,
            output=ServiceOutput(observed.sources, Lines()),
            guard=Guard(TOKEN),
            examine=self.examine,
        )
        self.app = Starlette(routes=api.routes())

    async def examine(self) -> list[dict[str, str]]:
        return [{"check": "registry", "state": "ok", "evidence": "embedded", "next": ""}]

    @asynccontextmanager
    async def client(self, token: str = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://towpath", headers=headers) as client:
            yield client

    async def get(self, path: str, **query: str) -> httpx.Response:
        async with self.client() as client:
            return await client.get(f"{PREFIX}{path}", params=query)

    async def post(self, path: str, body: Any) -> httpx.Response:
        async with self.client() as client:
            return await client.post(f"{PREFIX}{path}", json=body)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with await Observed.open(tmp_path) as observed:
        yield Api(observed)


@pytest.mark.parametrize("token", ["", "wrong", f"{TOKEN} "[:-2]])
async def test_every_route_wants_the_token(api: Api, token: str) -> None:
    async with api.client(token) as client:
        answers = [await client.get(f"{PREFIX}/{path}") for path in READING]
        answers += [await client.post(f"{PREFIX}/{path}", json={}) for path in WRITING]
        answers.append(await client.get("/metrics"))

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["exit_code"] for answer in answers} == {2}
    assert api.control.calls == []


async def test_there_is_no_route_that_this_file_does_not_know(api: Api) -> None:
    paths = {getattr(route, "path", "") for route in api.app.routes}

    known = {f"{PREFIX}/{path}" for path in (*READING, *WRITING)} | {"/metrics"}
    assert {path.replace("{revision:path}", "main") for path in paths} == known


@pytest.mark.parametrize(
    ("error", "status", "exit_code"),
    [
        (TowpathError("no"), 500, 1),
        (UserError("no"), 400, 2),
        (RefusedError("no"), 409, 3),
        (NotFoundError("no"), 404, 4),
        (ConflictError("no"), 409, 5),
        (RemoteError("no", hint="ask again"), 502, 6),
        (IntegrityError("no"), 500, 7),
    ],
)
async def test_every_error_keeps_its_exit_code(api: Api, error: TowpathError, status: int, exit_code: int) -> None:
    api.control.error = error
    answer = await api.get("/diff", environment="dev")

    assert answer.status_code == status
    assert answer.json() == {"message": "no", "hint": error.hint, "exit_code": exit_code}


async def test_a_fault_of_ours_is_logged_and_tells_nothing_of_the_inside(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.control.error = ZeroDivisionError("secret detail")
    answer = await api.get("/diff", environment="dev")

    assert (answer.status_code, answer.json()["exit_code"]) == (500, 1)
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("path", ["/status", "/history", "/timeline", "/events", "/explain"])
async def test_an_unknown_environment_is_not_found(api: Api, path: str) -> None:
    answer = await api.get(path, environment="staging")

    assert (answer.status_code, answer.json()["exit_code"]) == (404, 4)
    assert "staging" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/history", "/timeline", "/events"])
@pytest.mark.parametrize("limit", ["many", "-1", "1.5", "", "1001", "9" * 5000])
async def test_a_limit_that_is_none_is_refused(api: Api, path: str, limit: str) -> None:
    answer = await api.get(path, limit=limit)

    assert answer.status_code == 400
    assert "BadNumber" in answer.json()["message"]
    assert len(answer.text) < 300


async def test_the_views_are_served(api: Api) -> None:
    commit = await api.world.push({"services/sensor/main.py": "second"}, "Read faster")
    await api.observed.run("dev", commit)

    assert (await api.get("/status")).json()["platform"] == "home"
    assert (await api.get("/status", environment="dev")).json()["environments"][0]["name"] == "dev"
    assert (await api.get("/history", limit="1")).json()["entries"][0]["act"] == "deploy"
    assert (await api.get("/timeline")).json() == {"waterfalls": []}
    assert (await api.get(f"/where/{commit[:7]}")).json()["commit"] == commit
    assert (await api.get("/where/feature/none")).status_code == 404
    assert (await api.get("/events")).json() == {"events": []}
    assert (await api.get("/explain", environment="dev")).json()["findings"][0]["reason"] == "all is well"
    assert (await api.get("/doctor")).json()["checks"][0]["check"] == "registry"


async def test_a_diff_shows_long_values_cut(api: Api) -> None:
    (one,) = (await api.get("/diff", environment="dev")).json()["objects"]

    assert (one["object"], one["action"]) == ("ConfigMap/dev/settings", "configured")
    short, long = one["changes"]
    assert short == {"path": "data.level", "before": "low", "after": "high"}
    assert long["after"].endswith("… (500 characters)")


async def test_metrics_are_in_the_form_that_the_client_accepts(api: Api) -> None:
    async with api.client() as client:
        plain = await client.get("/metrics")
        open_metrics = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert plain.headers["content-type"].startswith("text/plain")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


@pytest.mark.parametrize("path", [f"/{path}" for path in WRITING])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"null"])
async def test_a_body_that_is_no_object_is_refused(api: Api, path: str, body: bytes) -> None:
    async with api.client() as client:
        answer = await client.post(f"{PREFIX}{path}", content=body)

    assert (answer.status_code, answer.json()["exit_code"]) == (400, 2)
    assert api.control.calls == []


@pytest.mark.parametrize("path", [f"/{path}" for path in WRITING])
async def test_a_body_that_is_too_large_is_refused_and_the_connection_closed(api: Api, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 4096

    async with api.client() as client:
        declared = await client.post(f"{PREFIX}{path}", content=b" " * (BODY_LIMIT + 1))
        chunked = await client.post(f"{PREFIX}{path}", content=endless())

    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["exit_code"]) == (413, 2)
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"services": []},
        {"services": "sensor"},
        {"services": [1]},
        {"services": ["sensor"], "environment": 5},
        {"services": ["sensor"], "environment": "prod", "version": ["x"]},
    ],
)
async def test_a_malformed_promotion_is_refused(api: Api, body: dict[str, Any]) -> None:
    answer = await api.post("/promotions", body)

    assert (answer.status_code, answer.json()["exit_code"]) == (400, 2)


async def test_a_promotion_is_judged_written_and_counted(api: Api) -> None:
    tag = await api.world.build("second")
    request = {"services": ["sensor"], "environment": "prod", "by": "ada"}

    tried = (await api.post("/promotions", {**request, "dry_run": True})).json()
    done = (await api.post("/promotions", request)).json()

    assert (tried["verdict"], tried["commit"]) == ("passed", None)
    assert tried["diff"][0]["changes"]
    assert done["commit"] == await api.world.head()
    assert done["moves"][0]["tag"] == tag
    assert {check["verdict"] for check in done["gates"]["sensor"]} == {"passed"}
    assert 'verdict="passed"' in api.metrics.exposition()[0].decode()


async def test_a_rollback_is_written_counted_and_remembered(api: Api) -> None:
    for source in ("second", "third"):
        await api.world.build(source)
        assert (await api.post("/promotions", {"services": ["sensor"], "environment": "prod"})).json()["commit"]

    tried = (await api.post("/rollbacks", {"environment": "prod", "dry_run": True})).json()
    done = (await api.post("/rollbacks", {"environment": "prod", "reason": "it crashes"})).json()

    assert tried["commit"] is None
    assert done["commit"] == await api.world.head()
    ((service, digest),) = done["quarantined"]
    verdict = api.observed.verdicts.find_last_known("prod", service, digest)
    assert verdict is not None
    assert verdict.outcome is Outcome.ROLLED_BACK
    assert 'towpath_rollbacks_total{environment="prod"} 1.0' in api.metrics.exposition()[0].decode()


async def test_a_rollback_with_nothing_to_go_back_to_is_refused(api: Api) -> None:
    answer = await api.post("/rollbacks", {"environment": "prod"})

    assert (answer.status_code, answer.json()["exit_code"]) == (409, 3)


async def test_a_hold_has_an_end(api: Api) -> None:
    answer = await api.post("/holds", {"environment": "prod", "reason": "holiday", "by": "ada", "seconds": 60})

    assert answer.json() == {"environment": "prod", "changed": True, "until": START + 60}
    assert api.control.calls == [("hold", "prod", "holiday", "ada", START + 60)]


@pytest.mark.parametrize("held", [True, False])
async def test_the_end_of_a_hold_says_whether_there_was_one(api: Api, held: bool) -> None:
    api.control.held = held
    answer = await api.post("/holds", {"environment": "prod", "release": True})

    assert answer.json() == {"environment": "prod", "changed": held}


@pytest.mark.parametrize("seconds", ["soon", 0, -1, True, None, [], 1e300, "NaN"])
async def test_a_hold_without_a_sensible_end_is_refused(api: Api, seconds: object) -> None:
    answer = await api.post("/holds", {"environment": "prod", "seconds": seconds})

    assert (answer.status_code, answer.json()["exit_code"]) == (400, 2)
    assert api.control.calls == []


@pytest.mark.parametrize("path", ["/holds", "/reconciliations"])
async def test_what_is_asked_of_an_unknown_environment_is_not_found(api: Api, path: str) -> None:
    answer = await api.post(path, {"environment": "staging"})

    assert answer.status_code == 404
    assert api.control.calls == []


async def test_a_reconciliation_may_confirm_a_prune(api: Api) -> None:
    await api.post("/reconciliations", {"environment": "dev"})
    await api.post("/reconciliations", {"environment": "dev", "confirm_prune": True})

    assert api.control.calls == [
        ("trigger", "dev", "by hand"),
        ("confirm_prune", "dev"),
        ("trigger", "dev", "by hand"),
    ]


async def test_logs_are_text_and_their_errors_json(api: Api) -> None:
    image = "127.0.0.1:7070/home/sensor:canary"
    spec = {"containers": [{"name": "main", "image": image}]}
    metadata = {"name": "sensor-0", "namespace": "dev"}
    api.observed.cluster.objects = [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}]

    found = await api.get("/logs", service="sensor")
    missing = await api.get("/logs", service="lamp")
    no_number = await api.get("/logs", service="sensor", tail="all")

    assert (found.text, found.headers["content-type"]) == ("dev/sensor-0 says hello\n", "text/plain; charset=utf-8")
    assert (missing.status_code, missing.json()["exit_code"]) == (404, 4)
    assert no_number.status_code == 400
