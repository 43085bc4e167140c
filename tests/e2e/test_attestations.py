"""Attestations in the whole loop: what CI attaches, what a key changes, and what a demanding environment lets in."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.lab import program, source_of
from fakes.platform import LivePlatform

REFUSED = 3


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    with LivePlatform(tmp_path_factory.mktemp("attested")) as platform:
        platform.write_lab()
        platform.start()
        platform.push()
        platform.await_healthy("dev", "lamp", platform.head())
        yield platform


def verdicts(document: Any) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in document["checks"]}


def test_every_image_is_attested_and_unsigned_ones_are_called_so(platform: LivePlatform) -> None:
    said = platform.towpath("verify", "lamp", expect=REFUSED)
    assert "UNSIGNED" in said.out
    found = verdicts(platform.document("verify", "lamp", expect=REFUSED))
    assert found.pop("signature") == "insufficient evidence"
    assert set(found) == {"image", "complete", "attached", "subject", "provenance", "commit", "sbom"}
    assert set(found.values()) == {"passed"}
    platform.towpath("verify", f"{platform.prefix}/lamp:sha-{platform.head()[:7]}", "--allow-unsigned")


def attested(platform: LivePlatform, service: str) -> Any:
    """The gate's check of a service's signatures, once the gate demands any."""
    said = platform.towpath("promote", service, "--to", "prod", "--dry-run", "-o", "json", expect=None)
    gate = json.loads(said.out)["gates"][service]
    return next((one for one in gate if one["check"] == "attested" and one["verdict"] == "failed"), None)


def promote(platform: LivePlatform, service: str) -> None:
    def ask(*options: str) -> Any:
        return platform.towpath("promote", service, "--to", "prod", *options, expect=None)

    platform.await_(f"{service} to be promoted", lambda: ask().code == 0, show=lambda: ask("--dry-run").text)


def test_with_a_key_new_images_are_signed_and_so_are_those_that_are_carried(platform: LivePlatform) -> None:
    platform.towpath("keys", "create", "--to", str(platform.state / "keys"), "--name", "other")
    blueprint = (platform.root / "towpath.yaml").read_text()
    demanded = blueprint.replace("soak: 0s", "soak: 0s\n    attestation: required")
    platform.change({"towpath.yaml": demanded}, "Demand attestations")
    check = platform.await_("the gate to demand them", lambda: attested(platform, "clock"))
    assert "UNSIGNED" in check["evidence"]

    before = platform.document("verify", "clock", expect=REFUSED)
    platform.towpath("keys", "create")
    commit = platform.change({source_of("lamp"): program("two")}, "Another lamp")
    platform.await_healthy("dev", "lamp", commit)
    assert platform.towpath("verify", "lamp", "--commit", commit).out.endswith("verified\n")
    carried = platform.document("verify", "clock")
    assert (carried["verdict"], carried["digest"]) == ("passed", before["digest"])
    promote(platform, "lamp")
    promote(platform, "clock")


def test_a_key_that_cannot_be_read_keeps_images_from_going_out_unsigned(platform: LivePlatform) -> None:
    key = platform.state / "keys" / "attest.key"
    good = key.read_bytes()
    key.write_bytes(b"junk")
    commit = platform.change({source_of("clock"): program("three")}, "Another clock")

    def find() -> Any:
        findings = platform.api("/explain")["findings"]
        return next((one for one in findings if one["subject"] == f"build of {commit[:7]}"), None)

    found = platform.await_("the build to be explained", find)
    assert "KeyUnreadable" in found["reason"]
    assert f"sha-{commit[:7]}" not in platform.tags("clock")
    key.write_bytes(good)
    mended = platform.change({source_of("clock"): program("four")}, "Try again")
    platform.await_healthy("dev", "clock", mended)
    platform.towpath("verify", "clock", "--commit", mended)
