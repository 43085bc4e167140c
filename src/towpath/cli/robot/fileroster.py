"""The robots in the files of a registry directory, changed without a running platform."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from towpath.registry.robot_documents import made_document, parse_grants, robot_document
from towpath.registry.robots import RobotFile


class FileRoster:
    """In the files of a registry directory."""

    def __init__(self, root: Path, *, registry: str) -> None:
        self._robots = RobotFile(root)
        self._registry = registry

    def list(self) -> dict[str, Any]:
        """All robots; when they were last used, only a running platform knows."""
        documents = [robot_document(robot, now=time.time()) for robot in self._robots.list()]
        return {"registry": self._registry, "robots": documents}

    def create(
        self, name: str, *, repositories: Sequence[str], allow: Sequence[str], lifetime_seconds: float | None
    ) -> dict[str, Any]:
        """Make one."""
        now = time.time()
        made = self._robots.create(
            name,
            parse_grants([*repositories], [*allow]),
            now=now,
            expires_at=now + lifetime_seconds if lifetime_seconds is not None else None,
        )
        return made_document(made, registry=self._registry, now=now)

    def rotate(self, name: str, *, overlap_seconds: float) -> dict[str, Any]:
        """Give one a new secret."""
        made = self._robots.rotate(name, now=time.time(), overlap_seconds=overlap_seconds)
        return made_document(made, registry=self._registry, now=time.time())

    def revoke(self, name: str) -> dict[str, Any]:
        """End one."""
        return {"name": self._robots.revoke(name).name}
