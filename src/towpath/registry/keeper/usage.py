"""What repositories hold: counted from facts, without I/O."""

from collections import defaultdict
from dataclasses import dataclass

from towpath.registry.keeper.facts import Facts


@dataclass(frozen=True, slots=True)
class RepositoryUsage:
    """One repository. `own_bytes` is of blobs that no other one has, `shared_bytes` of those that others have too."""

    repository: str
    tags: int
    manifests: int
    blobs: int
    own_bytes: int
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """A registry: its repositories by name, and its bytes, each blob counted once."""

    repositories: tuple[RepositoryUsage, ...]
    blobs: int
    total_bytes: int


def count_usage(facts: Facts) -> Usage:
    """Count."""
    holders: dict[str, set[str]] = defaultdict(set)
    for link in facts.links:
        holders[link.digest].add(link.repository)
    tags: dict[str, int] = defaultdict(int)
    manifests: dict[str, int] = defaultdict(int)
    own: dict[str, int] = defaultdict(int)
    shared: dict[str, int] = defaultdict(int)
    blobs: dict[str, int] = defaultdict(int)
    for fact in facts.manifests:
        tags[fact.repository] += len(fact.tags)
        manifests[fact.repository] += 1
        own[fact.repository] += fact.size
    for link in facts.links:
        counted = own if len(holders[link.digest]) == 1 else shared
        counted[link.repository] += facts.sizes[link.digest]
        blobs[link.repository] += 1
    return Usage(
        tuple(
            RepositoryUsage(name, tags[name], manifests[name], blobs[name], own[name], shared[name])
            for name in sorted({*manifests, *blobs})
        ),
        len(facts.sizes),
        sum(facts.sizes.values()) + sum(fact.size for fact in facts.manifests),
    )
