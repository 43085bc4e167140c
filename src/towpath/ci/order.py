"""What a build by hand is to build, as a value. Pure: `manual` builds it, `server.buildorder` decides it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from towpath.blueprint.model import Service
from towpath.ci.ports import Snapshot


@dataclass(frozen=True, slots=True)
class WorkContext:
    """A service's directory in a work tree, and the files of it that count; None for all."""

    directory: Path
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What to build.

    Attributes:
        snapshot: the commit, or the work tree as if it were one (with trees of nothing).
        services: those to build.
        tag: what the images are tagged, and told as their version.
        contexts: the directories of a work tree, by service; empty for a commit.
    """

    snapshot: Snapshot
    services: tuple[Service, ...]
    tag: str
    contexts: Mapping[str, WorkContext] = field(default_factory=dict)
