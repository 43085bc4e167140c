"""Provenance: what is said of a build, in SLSA's words, the same for the same commit."""

from dataclasses import replace

import pytest

from towpath.attest.errors import InvalidAttestationError
from towpath.attest.provenance import BUILD_TYPE, BUILDER_ID, BuildFacts, LockedPackage, format_provenance, read_claims
from towpath.oci.digest import Digest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = Digest.of(b"base")
FACTS = BuildFacts(
    service="sensor",
    path="services/sensor",
    source="https://git.example/home.git",
    commit=COMMIT,
    tree="aaaa",
    platform="linux/amd64",
    created="2026-01-02T03:04:05Z",
    builder_version="1.2.3",
    base="r.example/python:3.11",
    base_digest=BASE,
)


def test_parameters_are_what_the_user_decided() -> None:
    predicate = format_provenance(FACTS)
    assert predicate["buildDefinition"]["buildType"] == BUILD_TYPE
    assert predicate["buildDefinition"]["externalParameters"] == {
        "source": "https://git.example/home.git",
        "commit": COMMIT,
        "service": "sensor",
        "path": "services/sensor",
        "platform": "linux/amd64",
    }
    assert predicate["buildDefinition"]["internalParameters"] == {"tree": "aaaa"}


def test_materials_are_the_commit_the_base_and_the_locked_packages() -> None:
    packages = (LockedPackage("Flask", "3.0.1", (f"sha256:{'f' * 64}",)), LockedPackage("click", "8.1"))
    found = format_provenance(replace(FACTS, packages=packages))["buildDefinition"]["resolvedDependencies"]
    assert found[0] == {
        "name": "source",
        "uri": f"git+https://git.example/home.git@{COMMIT}",
        "digest": {"gitCommit": COMMIT},
    }
    assert found[1] == {
        "name": "base",
        "uri": f"docker://r.example/python:3.11@{BASE}",
        "digest": {"sha256": BASE.hex},
    }
    assert found[2]["digest"] == {"sha256": "f" * 64}
    assert found[2]["uri"].startswith("pkg:pypi/flask@3.0.1")
    assert found[3] == {"name": "click", "uri": "pkg:pypi/click@8.1"}


def test_the_base_host_is_named_by_its_layer() -> None:
    found = format_provenance(replace(FACTS, base="host"))["buildDefinition"]["resolvedDependencies"][1]
    assert found == {"name": "base", "uri": "urn:towpath:base:host", "digest": {"sha256": BASE.hex}}


def test_times_are_the_commits_and_the_invocation_follows_from_it() -> None:
    details = format_provenance(FACTS)["runDetails"]
    assert details["builder"] == {"id": BUILDER_ID, "version": {"towpath": "1.2.3"}}
    assert details["metadata"] == {
        "invocationId": f"{COMMIT}/sensor/linux/amd64",
        "startedOn": "2026-01-02T03:04:05Z",
        "finishedOn": "2026-01-02T03:04:05Z",
    }


def test_the_same_facts_give_the_same_predicate() -> None:
    assert format_provenance(FACTS) == format_provenance(replace(FACTS))


def test_a_build_outside_of_git_claims_no_commit() -> None:
    predicate = format_provenance(replace(FACTS, commit="", source="", tree="", base_digest=None))
    assert predicate["buildDefinition"]["resolvedDependencies"] == []
    assert "internalParameters" not in predicate["buildDefinition"]
    assert read_claims(predicate).commit == ""


def test_a_dockerfile_and_its_engine_are_named() -> None:
    predicate = format_provenance(replace(FACTS, parameters={"dockerfile": "Dockerfile"}, engine="buildah 1.28.2"))
    assert predicate["buildDefinition"]["externalParameters"]["dockerfile"] == "Dockerfile"
    assert predicate["runDetails"]["builder"]["version"] == {"towpath": "1.2.3", "engine": "buildah 1.28.2"}


def test_what_it_says_is_read_back() -> None:
    claims = read_claims(format_provenance(FACTS))
    assert claims.builder == BUILDER_ID
    assert (claims.source, claims.commit) == ("https://git.example/home.git", COMMIT)


def test_the_provenance_of_another_builder_is_read() -> None:
    predicate = {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"ref": "refs/heads/main"}},
            "resolvedDependencies": [
                {"uri": "git+https://github.com/acme/home@refs/heads/main", "digest": {"gitCommit": COMMIT}}
            ],
        },
        "runDetails": {"builder": {"id": "https://github.com/actions/runner/github-hosted"}},
    }
    claims = read_claims(predicate)
    assert (claims.source, claims.commit) == ("https://github.com/acme/home", COMMIT)


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"buildDefinition": []},
        {"buildDefinition": {"buildType": "x", "externalParameters": {}}},
        {"buildDefinition": {"buildType": "", "externalParameters": {}}, "runDetails": {"builder": {"id": "x"}}},
        {"buildDefinition": {"buildType": "x", "externalParameters": {}}, "runDetails": {"builder": {"id": 7}}},
    ],
)
def test_anything_else_is_no_provenance(predicate: dict[str, object]) -> None:
    with pytest.raises(InvalidAttestationError):
        read_claims(predicate)
