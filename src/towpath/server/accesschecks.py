"""What `doctor` says of who may use the registry: robots at their end, pull secrets on their way, the certificate.

Pure: what was seen, to findings with their evidence and the next step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from towpath.aio.clock import format_rfc3339
from towpath.registry.robots import Robot
from towpath.server.doctor import OK, PROBLEM, WARNING, Check

DAY = 86_400.0
# A week: somebody looks at it on a weekday.
ROBOT_NOTICE_SECONDS = 7 * DAY
# Two weeks: tools that renew do it a month before; when this is reached, they have failed for long.
CERTIFICATE_NOTICE_SECONDS = 14 * DAY
# An environment that is reconciled at all takes its new secret within seconds.
PATIENCE_SECONDS = 600.0


def judge_robots(robots: Sequence[Robot], *, now: float) -> list[Check]:
    """Robots that have expired, or will within a week."""
    found = []
    for robot in robots:
        if robot.expires_at is None or robot.expires_at > now + ROBOT_NOTICE_SECONDS:
            continue
        verb = "expired" if robot.expires_at <= now else "expires"
        found.append(
            Check(
                "robot accounts",
                WARNING,
                f"robot {robot.name} {verb} at {format_rfc3339(robot.expires_at)}",
                f"towpath robot revoke {robot.name}; where it is still needed, make another one",
            )
        )
    return found or [Check("robot accounts", OK, f"{len(robots)} robots, none near its end")]


def judge_pull_secrets(described: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Pull secrets that have not arrived where they belong."""
    found = []
    for one in described:
        if one["state"] == "distributing" and one["age_seconds"] > PATIENCE_SECONDS:
            where = ", ".join(one["waiting"]) or "its namespaces"
            evidence = f"the new pull secret of {one['environment']} is not yet in {where}; the old one stays valid"
            found.append(Check("pull secrets", WARNING, evidence, "towpath explain"))
    return found or [Check("pull secrets", OK, f"{len(described)} environments have theirs")]


def judge_certificate(expires_at: float, *, now: float, own: bool) -> Check:
    """The certificate of the platform's port."""
    name, end = "certificate", format_rfc3339(expires_at)
    step = "restart the platform, which renews it" if own else "renew it; it is taken up when its files change"
    if expires_at <= now:
        return Check(name, PROBLEM, f"expired at {end}, and clients refuse it", step)
    if expires_at <= now + CERTIFICATE_NOTICE_SECONDS:
        return Check(name, WARNING, f"expires at {end}", step)
    return Check(name, OK, f"good until {end}")
