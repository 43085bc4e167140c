"""containerd as the judge: it pulls from and pushes to the registry, and our client fails in its very words."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.responses import Response

from fakes.containerd import run_containerd
from fakes.peer import Answer, serve_peer
from fakes.recorded import serve_recorded
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
    with run_containerd(tmp_path_factory.mktemp("judge") / "containerd") as socket:
        yield ["ctr", "-a", str(socket)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RegistryServer]:
    async with serve_registry(tmp_path / "registry") as running:
        await push_to(running, "lab/app:canary")
        yield running


async def push_to(server: RegistryServer, name: str) -> None:
    client = server.client()
    await push_image(client, server.reference(name), layers=(EMPTY_TAR,))
    await client.close()


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


async def test_containerd_goes_straight_for_the_image_and_logs_in_by_a_form(ctr: list[str], tmp_path: Path) -> None:
    async with serve_recorded(tmp_path / "recorded") as recorded:
        await push_to(recorded.server, "lab/app:canary")
        code, output = await pull(ctr, f"{recorded.host}/lab/app:canary", "reader")
        assert code == 0, output
        assert not recorded.find("GET", "/v2/?")
        assert [one.status for one in recorded.find("POST", "/token")] == [200]
        head, *_ = recorded.find("HEAD", "/manifests/canary")
        assert head.status == 401


async def test_containerd_mounts_what_it_pulled_from_another_repository(ctr: list[str], tmp_path: Path) -> None:
    async with serve_recorded(tmp_path / "recorded") as recorded:
        await push_to(recorded.server, "lab/app:canary")
        source, target = f"{recorded.host}/lab/app:canary", f"{recorded.host}/lab/copy:canary"
        await pull(ctr, source, "reader")
        await run(ctr, "images", "tag", source, target)
        admin = f"admin:{password('admin')}"
        code, output = await run(ctr, "images", "push", "--plain-http", "--user", admin, target)
        assert code == 0, output
        mounts = recorded.find("POST", "mount=")
        assert mounts
        assert {one.status for one in mounts} == {201}
        assert not [one for one in recorded.find("PUT", "/blobs/uploads/") if one.status == 201]


async def test_containerd_pulls_by_digest(ctr: list[str], server: RegistryServer) -> None:
    client = server.client("reader")
    reference = await client.resolve(server.reference("lab/app:canary"))
    await client.close()
    code, output = await pull(ctr, f"{server.host}/lab/app@{reference.digest}", "reader")
    assert code == 0, output


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
