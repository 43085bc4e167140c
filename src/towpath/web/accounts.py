"""The routes of the platform API about who may use the registry: robots, and the pull secrets of environments."""

from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Route

from towpath.aio.clock import Clock
from towpath.errors import UserError
from towpath.registry.robot_documents import LastUsed, made_document, parse_grants, robot_document
from towpath.registry.robots import RobotFile
from towpath.web.answers import Document, Guard, read_document
from towpath.web.documents import text_field

LONGEST_SECONDS = 100 * 365 * 86_400.0


class PullSecrets(Protocol):
    """What a person may ask about pull secrets."""

    def rotate(self, environment: str) -> list[str]:
        """Begin to replace the secret of an environment, or of all; their names. Raises NotFoundError."""
        ...

    async def describe(self) -> list[dict[str, Any]]:
        """Every account and how far its secret has come."""
        ...


@dataclass(frozen=True, slots=True)
class AccountsApi:
    """What the routes work with.

    Attributes:
        guard: who is let in.
        robots: the robots.
        last_used: when a secret of an account last opened the registry.
        pull_secrets: those of the environments.
        registry: where the registry is reached, for those who log in.
        clock: dates what is made.
    """

    guard: Guard
    robots: RobotFile
    last_used: LastUsed
    pull_secrets: PullSecrets
    registry: str
    clock: Clock

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return self.guard.routes(
            reading={"/robots": self._list_robots, "/secrets": self._list_secrets},
            writing={
                "/robots": self._create_robot,
                "/robots/rotations": self._rotate_robot,
                "/robots/revocations": self._revoke_robot,
                "/secrets/rotations": self._rotate_secrets,
            },
        )

    async def _list_robots(self, request: Request) -> Document:
        del request
        now = self.clock.now()
        documents = [robot_document(robot, now=now, last_used=self.last_used) for robot in self.robots.list()]
        return {"registry": self.registry, "robots": documents}

    async def _create_robot(self, request: Request) -> Document:
        body = await read_document(request)
        now = self.clock.now()
        lifetime = None if body.get("lifetime_seconds") is None else _seconds(body, "lifetime_seconds")
        made = self.robots.create(
            text_field(body, "name"),
            parse_grants(body.get("repositories"), body.get("allow")),
            now=now,
            expires_at=now + lifetime if lifetime is not None else None,
        )
        return made_document(made, registry=self.registry, now=self.clock.now())

    async def _rotate_robot(self, request: Request) -> Document:
        body = await read_document(request)
        overlap = _seconds(body, "overlap_seconds")
        made = self.robots.rotate(text_field(body, "name"), now=self.clock.now(), overlap_seconds=overlap)
        return made_document(made, registry=self.registry, now=self.clock.now())

    async def _revoke_robot(self, request: Request) -> Document:
        body = await read_document(request)
        return {"name": self.robots.revoke(text_field(body, "name")).name}

    async def _list_secrets(self, request: Request) -> Document:
        del request
        return {"secrets": await self.pull_secrets.describe()}

    async def _rotate_secrets(self, request: Request) -> Document:
        body = await read_document(request)
        return {"environments": self.pull_secrets.rotate(text_field(body, "environment"))}


def _seconds(body: Document, name: str) -> float:
    value = body.get(name, 0.0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LONGEST_SECONDS:
        raise UserError(f"{name} cannot be read (BadNumber): got {value!r:.40}, expected seconds")
    return float(value)
