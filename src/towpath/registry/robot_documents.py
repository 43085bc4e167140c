"""Robots as JSON, the same from a running platform and from the file: the wire names, in one place."""

from collections.abc import Callable
from typing import Any

from towpath.aio.clock import format_rfc3339
from towpath.errors import UserError
from towpath.registry.accounts import Grant
from towpath.registry.robots import ACTIONS, Made, Robot

LastUsed = Callable[[str, str], float | None]


def robot_document(robot: Robot, *, now: float, last_used: LastUsed | None = None) -> dict[str, Any]:
    """A robot without its secret."""
    known = [last_used(robot.name, one.id) for one in robot.secrets] if last_used else []
    uses = [at for at in known if at is not None]
    return {
        "name": robot.name,
        "repositories": [grant.repository_glob for grant in robot.grants],
        "allow": sorted({action for grant in robot.grants for action in grant.actions}),
        "created": format_rfc3339(robot.created_at),
        "rotated": None if robot.rotated_at is None else format_rfc3339(robot.rotated_at),
        "expires": None if robot.expires_at is None else format_rfc3339(robot.expires_at),
        "expired": robot.expires_at is not None and robot.expires_at <= now,
        "secrets": sum(one.is_valid(now) for one in robot.secrets),
        "last_used": format_rfc3339(max(uses)) if uses else None,
    }


def made_document(made: Made, *, registry: str, now: float) -> dict[str, Any]:
    """A robot with its secret, which is shown this once; `registry` is where to log in."""
    return {"registry": registry, "robot": robot_document(made.robot, now=now), "secret": made.secret}


def parse_grants(repositories: object, allow: object) -> list[Grant]:
    """What a robot may do, from lists of repositories and of permissions. Raises UserError."""
    if not isinstance(repositories, list) or not repositories:
        raise UserError("robot cannot be made (NoRepository): it needs a repository", hint="--repository 'home/*'")
    if not isinstance(allow, list) or not allow or not all(name in ACTIONS for name in allow):
        raise UserError(
            f"robot cannot be made (BadPermission): expected some of {', '.join(ACTIONS)}, got {allow!r:.80}"
        )
    actions = frozenset().union(*(ACTIONS[name] for name in allow))
    return [Grant(str(repository), actions) for repository in repositories]
