"""Versions as programs print them, and what each version can do."""

from pathlib import Path

import pytest

from towpath.build.engines.engine import DockerfileBuild
from towpath.build.engines.versions import (
    buildah_capabilities,
    buildkit_capabilities,
    docker_capabilities,
    format_version,
    parse_version,
    podman_capabilities,
)
from towpath.oci.platform import Platform

HOST = Platform("linux", "amd64")
BUILD = DockerfileBuild(Path("/x"), "Dockerfile", HOST, 0)
WITH_SECRETS = DockerfileBuild(Path("/x"), "Dockerfile", HOST, 0, secrets={"a": Path("/a")})
ELSEWHERE = DockerfileBuild(Path("/x"), "Dockerfile", Platform("linux", "arm64"), 0)


@pytest.mark.parametrize(
    ("text", "version", "shown"),
    [
        ("buildah version 1.28.2 (image-spec 1.1.0-rc2, runtime-spec 1.0.2-dev)", (1, 28), "1.28.2"),
        ("podman version 4.3.1", (4, 3), "4.3.1"),
        ("28.2.2\n", (28, 2), "28.2.2"),
        ("buildctl github.com/moby/buildkit v0.13.0-rc1 abcdef", (0, 13), "0.13.0"),
        ("dunno", (0, 0), "unknown"),
    ],
)
def test_versions_are_read_from_what_programs_print(text: str, version: tuple[int, int], shown: str) -> None:
    assert parse_version(text) == version
    assert format_version(text) == shown


def test_present_versions_can_do_everything() -> None:
    for able in (
        buildah_capabilities((1, 28)),
        podman_capabilities((4, 3)),
        docker_capabilities((28, 2), exports_oci=True),
        buildkit_capabilities((0, 13)),
    ):
        assert (able.repro, able.oci_out, able.secrets, able.cache, able.platforms) == (True,) * 5
        assert able.lacking(WITH_SECRETS, host=HOST) == ""
        assert able.lacking(ELSEWHERE, host=HOST) == ""


def test_a_docker_older_than_any_that_was_tried_is_not_taken() -> None:
    assert "OCI image" in docker_capabilities((19, 3), exports_oci=False).lacking(BUILD, host=HOST)
    assert docker_capabilities((20, 10), exports_oci=False).lacking(WITH_SECRETS, host=HOST) == ""


def test_secrets_and_other_platforms_need_what_knows_them() -> None:
    assert "secrets" in buildah_capabilities((1, 18)).lacking(WITH_SECRETS, host=HOST)
    assert buildah_capabilities((1, 18)).lacking(BUILD, host=HOST) == ""
    assert "linux/amd64 only" in podman_capabilities((3, 4)).lacking(ELSEWHERE, host=HOST)
