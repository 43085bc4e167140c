"""containerd as the judge: it pulls from and pushes to the registry, and our client fails in its very words."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.responses import Response

from fakes.containerd import run_containerd
from fakes.peer import Answer, serve_peer
from fakes.registry import RegistryServer, password, push_image, serve_registry
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullError

pytestmark = pytest.mark.judge

EMPTY_TAR = bytes(1024)


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with run_containerd(tmp_path_factory.mktemp("judge") / "containerd") as command:
        yield command


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RegistryServer]:
    async with serve_registry(tmp_path / "registry") as running:
        client = running.client()
        await push_image(client, running.reference("lab/app:canary"), layers=(EMPTY_TAR,))
        await client.close()
        yield running


async def run(ctr: list[str], *arguments: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *ctr, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode()


async def pull(ctr: list[str], reference: str, user: str) -> tuple[int, str]:
    credentials = ("--user", f"{user}:{password(user)}") if user else ()
    return await run(ctr, "images", "pull", "--plain-http", "--snapshotter", "native", *credentials, reference)


def said(output: str) -> str:
    """The error that `ctr` prints last."""
    return output.strip().splitlines()[-1].removeprefix("ctr: ")


async def our_words(reference: Reference, user: str) -> str:
    """What our client says for a kubelet, without the head that the CRI puts before containerd's own words."""
    keyring = Keyring.of({reference.registry: Credential(user, password(user))} if user else {})
    client = RegistryClient(keyring=keyring)
    try:
        with pytest.raises(PullError) as caught:
            await client.image(reference, Platform("linux", "amd64"))
    finally:
        await client.close()
    return caught.value.containerd_text().removeprefix(f'failed to pull and unpack image "{reference}": ')


async def test_containerd_pulls_an_image(ctr: list[str], server: RegistryServer) -> None:
    reference = str(server.reference("lab/app:canary"))
    code, output = await pull(ctr, reference, "reader")
    assert code == 0, output
    assert reference in (await run(ctr, "images", "ls", "-q"))[1]


async def test_containerd_pushes_an_image(ctr: list[str], server: RegistryServer) -> None:
    source, target = str(server.reference("lab/app:canary")), str(server.reference("lab/copy:sha-0123456"))
    await pull(ctr, source, "reader")
    await run(ctr, "images", "tag", source, target)
    admin = f"admin:{password('admin')}"
    code, output = await run(ctr, "images", "push", "--plain-http", "--user", admin, target)
    assert code == 0, output
    client = server.client("reader")
    assert await client.tags(server.reference("lab/copy")) == ["sha-0123456"]
    await client.close()


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("lab/app:nope", "reader"),
        ("lab/nope:v1", "reader"),
        ("lab/app:canary", ""),
        ("lab/app:canary", "nobody"),
        ("lab/app:canary", "stranger"),
    ],
)
async def test_a_failed_pull_reads_the_same(ctr: list[str], server: RegistryServer, name: str, user: str) -> None:
    reference = server.reference(name)
    code, output = await pull(ctr, str(reference), user)
    assert code == 1
    assert await our_words(reference, user) == said(output)


@pytest.mark.parametrize("status", [403, 500])
async def test_a_refusing_registry_reads_the_same(ctr: list[str], status: int) -> None:
    answers: dict[str, Answer | list[Answer]] = {
        f"{method} /v2/lab/app/manifests/canary": Response(status_code=status) for method in ("HEAD", "GET")
    }
    async with serve_peer(answers) as peer:
        reference = Reference.parse(f"{peer.host}/lab/app:canary")
        assert await our_words(reference, "") == said((await pull(ctr, str(reference), ""))[1])


async def test_a_registry_that_is_down_reads_the_same(ctr: list[str], unused_tcp_port: int) -> None:
    reference = Reference.parse(f"127.0.0.1:{unused_tcp_port}/lab/app:canary")
    theirs = said((await pull(ctr, str(reference), ""))[1])
    client = RegistryClient()
    with pytest.raises(PullError) as caught:
        await client.resolve(reference)
    assert caught.value.containerd_text().endswith(theirs)
    await client.close()


def test_ctr_is_installed() -> None:
    assert subprocess.run(["ctr", "--version"], capture_output=True, check=False).returncode == 0
