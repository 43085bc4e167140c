import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import VirtualClock
from towpath.kube.errors import UnauthorizedError
from towpath.kubeclient.credentials import PluginCredentials, TokenFile, open_credentials
from towpath.kubeclient.exec_credential import format_exec_info, parse_exec_credential
from towpath.kubeclient.kubeconfig import Cluster, ExecPlugin, KubeconfigError, Target, User

VERSION = "client.authentication.k8s.io/v1"
CLUSTER = Cluster(server="https://10.0.0.1", authority=b"PEM")


def plugin(command: str = "token", **rest: Any) -> ExecPlugin:
    return ExecPlugin(api_version=VERSION, command=command, **rest)


def printed(**status: Any) -> bytes:
    return json.dumps({"apiVersion": VERSION, "kind": "ExecCredential", "status": status}).encode()


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_token_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    path, clock = tmp_path / "token", VirtualClock()
    path.write_text("one\n")
    source = TokenFile(path, clock=clock)
    assert (await source.get()).authorization == "Bearer one"
    path.write_text("two\n")
    assert (await source.get()).authorization == "Bearer one"
    clock.step(60)
    assert (await source.get()).authorization == "Bearer two"


async def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    source = TokenFile(path, clock=VirtualClock())
    await source.get()
    path.write_text("two")
    assert (await source.get(refused=True)).authorization == "Bearer two"


async def test_a_token_file_that_goes_away_leaves_the_last_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(UnauthorizedError, match="cannot be read"):
        await TokenFile(path, clock=VirtualClock()).get()
    path.write_text("one")
    source = TokenFile(path, clock=VirtualClock())
    await source.get()
    path.unlink()
    assert (await source.get(refused=True)).authorization == "Bearer one"


async def test_a_plugin_runs_once_until_its_credential_expires(tmp_path: Path) -> None:
    log, clock = tmp_path / "log", VirtualClock()
    output = printed(token="t", expirationTimestamp="2026-01-31T10:30:00Z").decode()
    command = script(tmp_path / "plugin", f"echo \"$REGION $1 $KUBERNETES_EXEC_INFO\" >> {log}\necho '{output}'")
    asked = plugin(command, args=("get",), env={"REGION": "eu"}, provide_cluster_info=True)
    source = PluginCredentials(asked, CLUSTER, environ={"PATH": "/usr/bin:/bin"}, clock=clock)
    given = await asyncio.gather(source.get(), source.get(), source.get())
    assert {one.authorization for one in given} == {"Bearer t"}
    assert len(log.read_text().splitlines()) == 1
    assert log.read_text().startswith("eu get {")
    assert '"server":"https://10.0.0.1"' in log.read_text()
    clock.step(3600)
    await source.get()
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [("echo sorry >&2; exit 3", "ended with 3: sorry"), ("echo nonsense", "its output is no ExecCredential")],
)
async def test_a_plugin_that_fails_is_quoted(tmp_path: Path, text: str, told: str) -> None:
    source = PluginCredentials(
        plugin(script(tmp_path / "plugin", text), install_hint="get it from the wiki"),
        CLUSTER,
        environ={},
        clock=VirtualClock(),
    )
    with pytest.raises(UnauthorizedError, match=told):
        await source.get()


async def test_a_plugin_that_is_not_there_says_how_to_get_it() -> None:
    asked = plugin("/nowhere/plugin", install_hint="get it from the wiki")
    with pytest.raises(UnauthorizedError, match="does not exist") as caught:
        await PluginCredentials(asked, CLUSTER, environ={}, clock=VirtualClock()).get()
    assert caught.value.hint == "get it from the wiki"


def test_a_credential_may_be_a_certificate() -> None:
    credential = parse_exec_credential(printed(clientCertificateData="C", clientKeyData="K"), plugin())
    assert (credential.certificate, credential.key, credential.expires) == (b"C", b"K", None)


@pytest.mark.parametrize(
    "output",
    [b"", b"[]", b"{}", printed(), printed(clientCertificateData="C"), printed(token="t", expirationTimestamp="soon")],
)
def test_what_is_no_credential_is_refused_without_being_shown(output: bytes) -> None:
    with pytest.raises(UnauthorizedError, match="BadCredential"):
        parse_exec_credential(output, plugin())


def test_a_credential_of_another_version_is_refused() -> None:
    output = json.dumps({"apiVersion": "client.authentication.k8s.io/v9", "status": {"token": "t"}}).encode()
    with pytest.raises(UnauthorizedError, match="speaks"):
        parse_exec_credential(output, plugin())


def test_a_plugin_learns_of_the_cluster_only_if_it_is_to() -> None:
    assert "server" not in format_exec_info(plugin(), CLUSTER)
    info = json.loads(format_exec_info(plugin(provide_cluster_info=True), CLUSTER))
    assert info["spec"] == {
        "interactive": False,
        "cluster": {"server": "https://10.0.0.1", "certificate-authority-data": "UEVN"},
    }


@pytest.mark.parametrize(
    ("user", "header"),
    [
        (User(), ""),
        (User(token="t"), "Bearer t"),
        (User(username="me", password="pass"), "Basic bWU6cGFzcw=="),
        (User(token="t", exec=plugin("/nowhere")), "Bearer t"),
    ],
)
async def test_fixed_credentials_are_a_header(user: User, header: str) -> None:
    source = open_credentials(Target("t", CLUSTER, user), environ={}, clock=VirtualClock())
    assert (await source.get()).authorization == header


def test_a_certificate_that_cannot_be_read_is_an_error_at_once(tmp_path: Path) -> None:
    user = User(certificate_file=str(tmp_path / "me.crt"), key_file=str(tmp_path / "me.key"))
    with pytest.raises(KubeconfigError, match=r"me\.crt cannot be read"):
        open_credentials(Target("t", CLUSTER, user), environ={}, clock=VirtualClock())
