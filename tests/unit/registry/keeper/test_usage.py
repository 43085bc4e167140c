"""What repositories hold."""

from towpath.registry.keeper.facts import Facts, LinkFact, ManifestFact, TagFact
from towpath.registry.keeper.usage import RepositoryUsage, count_usage

TAGS = (TagFact("v1", 0.0), TagFact("v2", 0.0))


def test_own_and_shared_bytes_are_told_apart_and_the_total_counts_each_blob_once() -> None:
    manifests = (ManifestFact("a", "m1", 10, 0.0, tags=TAGS), ManifestFact("b", "m2", 20, 0.0))
    links = (LinkFact("a", "x", 0.0), LinkFact("a", "both", 0.0), LinkFact("b", "both", 0.0))
    usage = count_usage(Facts(manifests, links, {"x": 100, "both": 1000}))

    assert usage.repositories == (RepositoryUsage("a", 2, 1, 2, 110, 1000), RepositoryUsage("b", 0, 1, 1, 20, 1000))
    assert (usage.blobs, usage.total_bytes) == (2, 1130)


def test_an_empty_registry_holds_nothing() -> None:
    assert count_usage(Facts()).total_bytes == 0
