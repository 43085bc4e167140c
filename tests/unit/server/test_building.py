"""The builder and the attestor of a state directory: which key signs."""

from pathlib import Path

import pytest

from fakes.attested import COMMIT, SOURCE
from fakes.clock import VirtualClock
from fakes.memory_registry import MemoryRegistry
from towpath.attest.errors import KeyFileError
from towpath.attest.keyfiles import write_pair
from towpath.attest.keys import KeyKind, generate_key
from towpath.attest.verification import Expectation, verify
from towpath.blueprint.model import Service
from towpath.build.host_base import host_platform
from towpath.build.image import BuildRequest, BuiltImage
from towpath.oci.reference import Reference
from towpath.server.attesting import make_attestor
from towpath.server.building import make_builder

REPOSITORY = Reference.parse("127.0.0.1:7070/home/site")
OWN, GIVEN = generate_key(KeyKind.P256), generate_key(KeyKind.ED25519)


class Site:
    """A static site without a base: quick to build."""

    def __init__(self, root: Path) -> None:
        self.state = root / ".towpath"
        self.registry = MemoryRegistry()
        context = root / "site"
        context.mkdir()
        (context / "index.html").write_text("hello\n")
        service = Service("site", "services/site", base="scratch", entrypoint=("/app/server",), static=".")
        self.request = BuildRequest(
            service, context, COMMIT, "aaaa", SOURCE, 1_700_000_000.0, "sha-0123456", host_platform()
        )

    async def build(self) -> BuiltImage:
        builder = make_builder(self.state, self.registry, clock=VirtualClock(), environ={})
        image = await builder.build(self.request)
        await builder.push(image, REPOSITORY)
        return image

    async def signers(self, image: BuiltImage) -> set[str]:
        """Which of the two keys stand for the image."""
        pinned = REPOSITORY.with_digest(image.digest)
        found = set()
        for name, key in (("own", OWN), ("given", GIVEN)):
            verified = await verify(self.registry, pinned, host_platform(), Expectation(keys=(key.public,)))
            if all(finding.verdict == "passed" for finding in verified.findings):
                found.add(name)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_without_a_key_nobody_signs(site: Site) -> None:
    image = await site.build()
    await make_attestor(site.state, site.registry, environ={}).attach(site.request, image, REPOSITORY)
    assert await site.signers(image) == set()


async def test_the_platforms_own_key_signs_from_the_moment_it_is_there(site: Site) -> None:
    image = await site.build()
    attestor = make_attestor(site.state, site.registry, environ={})
    write_pair(site.state / "keys", OWN, name="attest", password=None)
    await attestor.attach(site.request, image, REPOSITORY)
    assert await site.signers(image) == {"own"}


async def test_a_key_that_is_given_wins(site: Site, tmp_path: Path) -> None:
    image = await site.build()
    write_pair(site.state / "keys", OWN, name="attest", password=None)
    pair = write_pair(tmp_path / "pair", GIVEN, name="ci", password=b"secret")
    environ = {"TOWPATH_KEY_PASSWORD": "secret"}
    attestor = make_attestor(site.state, site.registry, environ=environ, key=pair.private)
    await attestor.attach(site.request, image, REPOSITORY)
    assert await site.signers(image) == {"given"}


def test_a_key_that_cannot_be_used_is_said_at_once(site: Site) -> None:
    with pytest.raises(KeyFileError):
        make_attestor(site.state, site.registry, environ={}, key=site.state / "none.key")
