"""The port to what runs the pods: two adapters, `cluster` (embedded, one node) and `outside` (any Kubernetes).

What is done to the cluster goes through `client`, one code path for both; here is only what differs: how it is started,
where logs come from, and what `doctor` says of it.
"""

from dataclasses import dataclass
from typing import Protocol

from towpath.observe.output import PodLogs
from towpath.reconcile.ports import ResourceClient
from towpath.server.doctor import Check


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """What people are told of a cluster.

    Attributes:
        url: where its API is.
        summary: in a few words, what it is: how pods are kept apart, or which Kubernetes.
        is_ours: whether it is the platform's alone; elsewhere nothing is read beyond our namespaces.
    """

    url: str
    summary: str
    is_ours: bool


class Cluster(Protocol):
    """A cluster; `client` and `logs` work from `start` to `close`."""

    @property
    def client(self) -> ResourceClient:
        """All that is done to it."""
        ...

    @property
    def logs(self) -> PodLogs:
        """The output of its pods."""
        ...

    @property
    def facts(self) -> RuntimeFacts:
        """What it is, as far as known at this moment."""
        ...

    async def start(self, *, name: str) -> None:
        """Begin to serve the platform of that name."""
        ...

    async def examine(self, registry: str) -> list[Check]:
        """What `doctor` says. `registry` is where nodes get our images from; empty where they get them elsewhere."""
        ...

    async def close(self) -> None:
        """End what was started."""
        ...

    def release(self) -> None:
        """Let go of what was opened when it was made."""
        ...
