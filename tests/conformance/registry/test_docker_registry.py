"""The suite on Debian's docker-registry, in the same job: the measure for ours, and a check of the suite itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.registry.facets import Facet, Version
from conformance.registry.results import Outcome
from conformance.registry.suite import run_suite
from conformance.registry.wire import Target
from fakes.docker_registry import find_docker_registry, run_docker_registry, version_of_docker_registry

# What its released versions have: if the suite found fault with these, the suite would be wrong.
SOUND = (
    Facet.PING,
    Facet.BLOB_POST_PUT,
    Facet.BLOB_STREAM,
    Facet.BLOB_MOUNT,
    Facet.MANIFEST_GET_TAG,
    Facet.MANIFEST_HEAD_TAG,
)
PLAIN = ("image", "index", "nested index", "empty index", "artifact", "custom fields", "large manifest", "no layers")


@pytest.mark.judge
@pytest.mark.parametrize("version", list(Version))
def test_docker_registry_is_scored(
    tmp_path: Path, version: Version, record_property: Callable[[str, object], None]
) -> None:
    if find_docker_registry() is None:
        pytest.fail("docker-registry is not installed (Debian: apt-get install docker-registry)")
    with run_docker_registry(tmp_path / "docker-registry") as url:
        results = run_suite(Target(url), version, seed="towpath", name=version_of_docker_registry())
    record_property("registry", json.dumps(results.to_json()))
    assert results.find_facet(Facet.REFERRERS) is Outcome.FAIL
    for title in PLAIN:
        for facet in SOUND:
            assert results.find_cell(facet, title) in {None, Outcome.PASS}, f"{title}: {facet}"
