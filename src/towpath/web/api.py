"""The routes of the platform API: parse, call, answer. What they answer stands in `observe` and `promote`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from towpath.errors import TowpathError, UserError
from towpath.observe.environments import describe_platform
from towpath.observe.explanations import explain
from towpath.observe.happenings import describe_events
from towpath.observe.history import describe_history
from towpath.observe.metrics import Metrics
from towpath.observe.output import ServiceOutput
from towpath.observe.sources import Sources
from towpath.observe.waterfalls import describe_timeline
from towpath.observe.whereabouts import describe_whereabouts
from towpath.promote.promotion import Desk, promote
from towpath.promote.rollback import Verdicts, roll_back
from towpath.reconcile.changes import ChangeSet
from towpath.web.answers import PREFIX, Answer, Document, Guard, error_response, read_document
from towpath.web.documents import (
    change_set_document,
    hold_request,
    promotion_document,
    promotion_request,
    rollback_document,
    rollback_request,
    text_field,
)

# One answer fits on some screens; more would cost a git process or two an entry.
LARGEST_LIMIT = 1000
LARGEST_TAIL = 1_000_000


class Control(Protocol):
    """What a person may ask of the reconciler."""

    async def diff(self, environment: str) -> ChangeSet:
        """What a reconciliation would do at this moment. Raises NotFoundError, TowpathError."""
        ...

    async def hold(self, environment: str, *, reason: str, by: str = "", until: float | None = None) -> None:
        """Pause automation. Raises NotFoundError."""
        ...

    async def resume(self, environment: str) -> bool:
        """Go on; False if there was no hold. Raises NotFoundError."""
        ...

    def confirm_prune(self, environment: str) -> None:
        """Let the next reconciliation delete beyond the guards, once. Raises NotFoundError."""
        ...

    def trigger(self, environment: str, reason: str) -> None:
        """Ask for a reconciliation soon."""
        ...


@dataclass(frozen=True, slots=True)
class PlatformApi:
    """What the routes work with.

    Attributes:
        sources: what observation looks at.
        control: what the reconciler is asked to do.
        desk: what promotion works with.
        past: what became of digests, for rollbacks.
        metrics: the numbers.
        output: the logs of services.
        guard: who is let in.
        examine: the findings of `doctor` about the running platform.
    """

    sources: Sources
    control: Control
    desk: Desk
    past: Verdicts
    metrics: Metrics
    output: ServiceOutput
    guard: Guard
    examine: Callable[[], Awaitable[list[dict[str, str]]]]

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        reading: Mapping[str, Answer] = {
            "/status": self._status,
            "/history": self._history,
            "/timeline": self._timeline,
            "/where/{revision:path}": self._where,
            "/events": self._events,
            "/explain": self._explain,
            "/diff": self._diff,
            "/doctor": self._doctor,
        }
        writing: Mapping[str, Answer] = {
            "/promotions": self._promote,
            "/rollbacks": self._roll_back,
            "/holds": self._hold,
            "/reconciliations": self._reconcile,
        }
        return [
            *self.guard.routes(reading=reading, writing=writing),
            Route(f"{PREFIX}/logs", self._logs, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]

    async def _status(self, request: Request) -> Document:
        return await describe_platform(self.sources, environment=request.query_params.get("environment", ""))

    async def _history(self, request: Request) -> Document:
        query = request.query_params
        return await describe_history(
            self.sources,
            environment=query.get("environment", ""),
            service=query.get("service", ""),
            limit=_number(query.get("limit", "20"), "limit"),
        )

    async def _timeline(self, request: Request) -> Document:
        query = request.query_params
        limit = _number(query.get("limit", "20"), "limit")
        return await describe_timeline(self.sources, environment=query.get("environment", ""), limit=limit)

    async def _where(self, request: Request) -> Document:
        return await describe_whereabouts(self.sources, request.path_params["revision"])

    async def _events(self, request: Request) -> Document:
        query = request.query_params
        limit = _number(query.get("limit", "40"), "limit")
        return await describe_events(self.sources, environment=query.get("environment", ""), limit=limit)

    async def _explain(self, request: Request) -> Document:
        query = request.query_params
        return await explain(self.sources, environment=query.get("environment", ""), service=query.get("service", ""))

    async def _diff(self, request: Request) -> Document:
        environment = request.query_params.get("environment", "")
        return change_set_document(environment, await self.control.diff(environment))

    async def _doctor(self, request: Request) -> Document:
        del request
        return {"checks": await self.examine()}

    async def _promote(self, request: Request) -> Document:
        outcome = await promote(self.desk, promotion_request(await read_document(request)))
        self.metrics.promotions.labels(environment=outcome.environment, verdict=outcome.verdict.value).inc()
        return promotion_document(outcome)

    async def _roll_back(self, request: Request) -> Document:
        outcome = await roll_back(self.desk, self.past, rollback_request(await read_document(request)))
        if outcome.commit is not None:
            self.metrics.rollbacks.labels(environment=outcome.environment).inc()
            for service, digest in outcome.quarantined:
                await self.sources.verdicts.roll_back(
                    outcome.environment, service, digest, reason="rolled back", commit=outcome.commit
                )
        return rollback_document(outcome)

    async def _hold(self, request: Request) -> Document:
        asked = hold_request(await read_document(request))
        self.sources.reconciler.status(asked.environment)  # raises for an unknown one
        if asked.release:
            return {
                "environment": asked.environment,
                "changed": await self.control.resume(asked.environment),
            }
        until = self.sources.clock.now() + asked.seconds
        await self.control.hold(asked.environment, reason=asked.reason, by=asked.by, until=until)
        return {"environment": asked.environment, "changed": True, "until": until}

    async def _reconcile(self, request: Request) -> Document:
        body = await read_document(request)
        environment = text_field(body, "environment")
        self.sources.reconciler.status(environment)  # raises for an unknown one
        if body.get("confirm_prune"):
            self.control.confirm_prune(environment)
        self.control.trigger(environment, "by hand")
        return {"environment": environment}

    async def _logs(self, request: Request) -> Response:
        refusal = self.guard.refuse(request)
        if refusal is not None:
            return refusal
        query = request.query_params
        try:
            chunks = await self.output.open(
                environment=query.get("environment", ""),
                service=query.get("service", ""),
                pod=query.get("pod", ""),
                follow=query.get("follow") == "true",
                previous=query.get("previous") == "true",
                tail=_number(query.get("tail", "100"), "tail", largest=LARGEST_TAIL),
            )
        except TowpathError as error:
            return error_response(error)
        return StreamingResponse(chunks, media_type="text/plain; charset=utf-8")

    async def _metrics(self, request: Request) -> Response:
        refusal = self.guard.refuse(request)
        if refusal is not None:
            return refusal
        content, content_type = self.metrics.exposition(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": content_type})


def _number(text: str, name: str, *, largest: int = LARGEST_LIMIT) -> int:
    if not text.isdecimal() or len(text) > len(str(largest)) or int(text) > largest:
        raise UserError(
            f"{name} cannot be read (BadNumber): got {text[:40]!r}, expected a whole number, at most {largest}"
        )
    return int(text)
