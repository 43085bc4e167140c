"""Whether the nodes of an outside cluster can get images from this platform's registry, as far as addresses tell.

A loopback address means another machine to everybody: right for a single node that is this very machine, wrong for
every other, and each pod would end in ErrImagePull. What can be known beforehand is said beforehand. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from towpath.http.hosts import is_loopback
from towpath.server.doctor import OK, PROBLEM, WARNING, Check

ADVERTISE = (
    "start with --host 0.0.0.0 --advertise ADDRESS:PORT, an address that nodes reach this machine at, and name it in "
    "towpath.yaml and the overlays (docs/kubernetes.md)"
)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node of the cluster. `is_here`: one of its addresses is this machine's."""

    name: str
    architecture: str
    addresses: tuple[str, ...] = ()
    is_here: bool = False


def judge_registry(
    registry: str,
    *,
    server: str,
    server_is_here: bool,
    nodes: Sequence[NodeFacts] | None,
    in_pod: bool,
    plain: bool,
) -> Check:
    """Whether nodes can reach the registry.

    Args:
        registry: `host[:port]`, as it stands in manifests.
        server: where the Kubernetes API is.
        server_is_here: whether that is an address of this machine.
        nodes: those of the cluster; None when they may not be listed.
        in_pod: whether the platform is itself a pod.
        plain: whether nodes are to speak plain HTTP to the registry.
    """
    name = "registry address"
    if not is_loopback(registry):
        evidence = f"nodes pull from {registry} over {'plain HTTP' if plain else 'TLS'}"
        step = "each node must be told that it is plain HTTP (docs/kubernetes.md)" if plain else ""
        return Check(name, OK, evidence, step)
    if in_pod:
        evidence = f"{registry} is the loopback of this pod, and nodes cannot reach it"
        return Check(name, PROBLEM, evidence, ADVERTISE)
    elsewhere = [node for node in nodes or () if not node.is_here]
    if elsewhere:
        shown = ", ".join(f"{node.name} ({', '.join(node.addresses) or 'no address'})" for node in elsewhere[:_SHOWN])
        more = f" and {len(elsewhere) - _SHOWN} more" if len(elsewhere) > _SHOWN else ""
        evidence = f"{registry} is this machine's loopback, and nodes are elsewhere: {shown}{more}"
        return Check(name, PROBLEM, evidence, ADVERTISE)
    if nodes:
        return Check(name, OK, f"{registry}, and every node is this machine")
    if not server_is_here:
        evidence = f"{registry} is this machine's loopback, and the Kubernetes API is at {server}"
        return Check(name, PROBLEM, evidence, ADVERTISE)
    unknown = "nodes may not be listed" if nodes is None else "the cluster has no nodes"
    evidence = f"{registry} is this machine's loopback; whether every node is this machine is not known: {unknown}"
    return Check(name, WARNING, evidence, f"if nodes are elsewhere, {ADVERTISE}")


def judge_architectures(nodes: Sequence[NodeFacts], *, built: str) -> list[Check]:
    """Whether images are built for every node."""
    others = [node for node in nodes if node.architecture not in {"", built}]
    if not others:
        return []
    shown = ", ".join(f"{node.name} ({node.architecture})" for node in others[:_SHOWN])
    evidence = f"images are built for {built}, and these nodes are others: {shown}"
    return [Check("architecture", WARNING, evidence, f"give workloads nodeSelector kubernetes.io/arch: {built}")]
