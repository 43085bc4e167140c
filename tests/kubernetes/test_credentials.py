"""The ways to be somebody, each proven to a real kube-apiserver: it says who it takes the client for.

Plugins that print certificates, impersonation with groups, and a proxy in between; the rest of the kinds of
credentials have their tests in `tests/unit/kubeclient`.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes.control_plane import ControlPlane
from towpath.aio.clock import SystemClock
from towpath.kube.errors import ForbiddenError, UnauthorizedError
from towpath.kube.objects import GVK
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.request import PreparedRequest, encode
from towpath.kubeclient.target import load_target

pytestmark = pytest.mark.kubernetes
SECRET = GVK("", "v1", "Secret")
# Prints the certificate and key of the file whose name it finds in a file, and writes down that it was asked.
PLUGIN = """\
#!{python}
import json, os, pathlib
here = pathlib.Path(__file__).parent
asked = here / "asked"
asked.write_text((asked.read_text() if asked.exists() else "") + os.environ["KUBERNETES_EXEC_INFO"] + "\\n")
name = (here / "who").read_text()
certificate, key = ((here / f"{{name}}.{{end}}").read_text() for end in ("crt", "key"))
status = {{"clientCertificateData": certificate, "clientKeyData": key}}
if (here / "expires").exists():
    status["expirationTimestamp"] = (here / "expires").read_text()
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}}))
"""


def write_kubeconfig(
    directory: Path, plane: ControlPlane, *, user: Mapping[str, Any], cluster: Mapping[str, Any] | None = None
) -> Path:
    """A kubeconfig in a directory of its own, which names the administrator's files by relative paths."""
    directory.mkdir(exist_ok=True)
    for name in ("ca.crt", "admin.crt", "admin.key"):
        (directory / name).write_bytes((plane.directory / name).read_bytes())
    server = {"server": plane.url, "certificate-authority": "ca.crt", **(cluster or {})}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": server}],
        "users": [{"name": "me", "user": dict(user)}],
        "contexts": [{"name": "lab", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "lab",
    }
    path = directory / "config"
    path.write_text(yaml.safe_dump(document))
    return path


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[KubernetesClient]:
    client = KubernetesClient(load_target(kubeconfig, environ={}), clock=SystemClock(), environ={})
    try:
        yield client
    finally:
        await client.close()


async def who_am_i(client: KubernetesClient) -> dict[str, Any]:
    """Whom the server takes the client for."""
    review = encode({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    request = PreparedRequest("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, review)
    found: dict[str, Any] = json.loads((await client._transport.send(request)).content)["status"]["userInfo"]
    return found


ADMIN = {"client-certificate": "admin.crt", "client-key": "admin.key"}


def write_plugin(directory: Path, plane: ControlPlane, *names: str) -> dict[str, Any]:
    """A plugin that prints the certificate of the first of some users; as a kubeconfig names it."""
    directory.mkdir(exist_ok=True)
    for name in names:
        pair = plane.authority.sign(f"plugin-{name}", name=name, group="plugins")
        (directory / f"{name}.crt").write_bytes(pair.certificate.read_bytes())
        (directory / f"{name}.key").write_bytes(pair.key.read_bytes())
    (directory / "who").write_text(names[0])
    program = directory / "plugin"
    program.write_text(PLUGIN.format(python=sys.executable))
    program.chmod(0o755)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "provideClusterInfo": True}


async def test_a_plugin_s_certificate_is_who_the_client_is(tmp_path: Path, shared_control_plane: ControlPlane) -> None:
    plugin = write_plugin(tmp_path, shared_control_plane, "ada")
    async with connected(write_kubeconfig(tmp_path, shared_control_plane, user={"exec": plugin})) as client:
        me = await who_am_i(client)
        assert (me["username"], "plugins" in me["groups"]) == ("ada", True)
        with pytest.raises(ForbiddenError, match='User "ada" cannot list resource "secrets"'):
            await client.list(SECRET, "default")
    told = [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    assert len(told) == 1, "a certificate without an expiry is good until it is refused"
    assert told[0]["spec"]["cluster"]["server"] == shared_control_plane.url


async def test_a_plugin_s_certificate_is_fetched_anew_when_it_expires(
    tmp_path: Path, shared_control_plane: ControlPlane
) -> None:
    plugin = write_plugin(tmp_path, shared_control_plane, "ada", "grace")
    (tmp_path / "expires").write_text("2001-01-01T00:00:00Z")
    async with connected(write_kubeconfig(tmp_path, shared_control_plane, user={"exec": plugin})) as client:
        assert (await who_am_i(client))["username"] == "ada"
        (tmp_path / "who").write_text("grace")
        assert (await who_am_i(client))["username"] == "grace", "over a connection made with the new certificate"


async def test_a_plugin_that_fails_is_told_with_its_words(tmp_path: Path, shared_control_plane: ControlPlane) -> None:
    plugin = write_plugin(tmp_path, shared_control_plane, "ada")
    (tmp_path / "plugin").write_text("#!/bin/sh\necho no ticket >&2\nexit 7\n")
    async with connected(write_kubeconfig(tmp_path, shared_control_plane, user={"exec": plugin})) as client:
        with pytest.raises(UnauthorizedError, match="ended with 7: no ticket"):
            await who_am_i(client)


async def test_who_acts_as_another_has_all_that_the_other_is(
    tmp_path: Path, shared_control_plane: ControlPlane
) -> None:
    user = {
        **ADMIN,
        "as": "jane",
        "as-uid": "7",
        "as-groups": ["developers", "on duty"],
        "as-user-extra": {"example.com/reason": ["drill", "audit"]},
    }
    async with connected(write_kubeconfig(tmp_path, shared_control_plane, user=user)) as client:
        me = await who_am_i(client)
        assert (me["username"], me["uid"]) == ("jane", "7")
        assert {"developers", "on duty"} <= set(me["groups"])
        assert me["extra"] == {"example.com/reason": ["drill", "audit"]}
        with pytest.raises(ForbiddenError, match='User "jane" cannot list'):
            await client.list(SECRET, "default")


async def test_groups_alone_give_rights(tmp_path: Path, shared_control_plane: ControlPlane) -> None:
    user = {**ADMIN, "as": "jane", "as-groups": ["system:masters"]}
    async with connected(write_kubeconfig(tmp_path, shared_control_plane, user=user)) as client:
        await client.list(SECRET, "default")


class Tunnel:
    """A proxy that knows CONNECT only; `asked` are the hosts it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.serving: list[asyncio.Task[Any] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.append(asyncio.current_task())
        line = (await reader.readline()).decode()
        while (await reader.readline()).strip():
            pass
        self.asked.append(line.split()[1])
        host, _, port = self.asked[-1].rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, back), copy(there, writer))
        for end in (back, writer):
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(65536):
        target.write(piece)
        await target.drain()
    target.close()


async def test_a_proxy_is_gone_through(tmp_path: Path, shared_control_plane: ControlPlane) -> None:
    tunnel = Tunnel()
    listening = await asyncio.start_server(tunnel.serve, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        config = write_kubeconfig(tmp_path, shared_control_plane, user=ADMIN, cluster={"proxy-url": proxy})
        async with connected(config) as client:
            assert (await who_am_i(client))["username"] == "admin"
        await asyncio.gather(*filter(None, tunnel.serving))
    assert tunnel.asked == [shared_control_plane.url.removeprefix("https://")]
