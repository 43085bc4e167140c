"""The client of a person: whose credentials, whose trust, and which registries in clear text."""

import base64
import json
import os
from pathlib import Path

import pytest

from fakes.registry import make_account, password, push_image, serve_registry
from towpath.aio.clock import SystemClock
from towpath.errors import UserError
from towpath.http.certificates import ensure_certificates
from towpath.http.server import Listener
from towpath.oci.digest import Digest
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullCause, PullError
from towpath.registry.accounts import Grant
from towpath.server.credentialfile import load_or_create
from towpath.server.credentials import ADMIN, FILE
from towpath.server.registryclient import open_registry_client
from towpath.server.runfile import RunInfo
from towpath.server.running import write_run_info


def write_logins(directory: Path, host: str) -> Path:
    auth = base64.b64encode(f"reader:{password('reader')}".encode()).decode()
    file = directory / "auth.json"
    file.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return file


async def open_client(state: Path | None, host: str, logins: Path | None = None, *, own: str = "") -> RegistryClient:
    return await open_registry_client(
        state, [host], own=own, authfile=logins, environ={"HOME": "/nowhere"}, clock=SystemClock()
    )


async def test_other_registries_are_opened_by_the_persons_logins(tmp_path: Path) -> None:
    async with serve_registry(tmp_path / "registry") as server:
        admin = server.client()
        pushed = await push_image(admin, server.reference("lab/app:v1"))
        client = await open_client(tmp_path, server.host, write_logins(tmp_path, server.host))
        assert (await client.resolve(server.reference("lab/app:v1"))).digest == pushed.digest
        anonymous = await open_client(None, server.host)
        with pytest.raises(PullError) as caught:
            await anonymous.resolve(server.reference("lab/app:v1"))
        assert caught.value.cause in {PullCause.TOKEN_REFUSED, PullCause.ACCESS_DENIED}
        for one in (admin, client, anonymous):
            await one.close()


@pytest.mark.parametrize("running", [True, False])
async def test_the_platforms_own_is_opened_by_its_own_credentials_alone(tmp_path: Path, running: bool) -> None:
    secrets = load_or_create(tmp_path)
    own = make_account(ADMIN, secrets.admin_token, (Grant("*"),))
    async with serve_registry(tmp_path / "registry", accounts=[own]) as server:
        if running:
            write_run_info(tmp_path, RunInfo(os.getpid(), f"http://{server.host}", "", "1", registry=server.host))
        client = await open_client(tmp_path, server.host, own="" if running else server.host)
        await push_image(client, server.reference("lab/app:v1"))
        await client.close()


async def test_credentials_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(UserError, match="credentials"):
        await open_client(tmp_path, "127.0.0.1:1", own="127.0.0.1:1")


async def test_a_registry_over_tls_is_trusted_by_what_is_kept_for_it(tmp_path: Path) -> None:
    now = SystemClock().now()
    files = ensure_certificates(tmp_path / "tls", names=["127.0.0.1", "localhost"], now=now)
    async with serve_registry(tmp_path / "registry") as server:
        admin = server.client()
        pushed = await push_image(admin, server.reference("lab/app:v1"))
        listener = Listener(server.app, certificate=files.certificate, key=files.key)
        await listener.start()
        host = f"127.0.0.1:{listener.port}"
        logins = write_logins(tmp_path, host)
        reference = Reference.parse(f"{host}/lab/app:v1")
        kept = tmp_path / "home" / ".config" / "containers" / "certs.d" / host / "ca.crt"
        kept.parent.mkdir(parents=True)
        clock = SystemClock()

        async def resolve() -> Digest:
            client = await open_registry_client(
                None, [host], authfile=logins, environ={"HOME": str(tmp_path / "home")}, clock=clock
            )
            try:
                return (await client.resolve(reference)).digest
            finally:
                await client.close()

        kept.write_bytes(files.authority_bytes())
        assert await resolve() == pushed.digest
        kept.write_bytes(ensure_certificates(tmp_path / "other", names=["other.lan"], now=now).authority_bytes())
        with pytest.raises(PullError, match="the certificate is not trusted") as refused:
            await resolve()
        assert f"/etc/containers/certs.d/{host}/ca.crt" in refused.value.hint
        await listener.close()
        await admin.close()
