"""Attestations as others see them: securesystemslib judges the envelopes, oras finds the artifacts, cosign verifies."""

import asyncio
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import oras.client
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer._key import SSlibKey

from fakes.attested import PLATFORM, SOURCE, Shelf
from fakes.docker_registry import run_docker_registry
from fakes.foreign import require, require_built
from fakes.registry import password
from fakes.registry_process import run_registry
from towpath.attest import sbom
from towpath.attest.dsse import IN_TOTO, envelope_from_json, envelope_to_json, sign
from towpath.attest.findings import Verdict, conclude
from towpath.attest.keyfiles import write_pair
from towpath.attest.keys import KeyKind, PrivateKey, generate_key
from towpath.attest.referrer import sbom_referrer
from towpath.attest.sbom import dump_sbom
from towpath.attest.verification import Expectation, Verification, verify
from towpath.oci.keyring import Credential, Keyring, format_docker_config
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient

pytestmark = pytest.mark.judge

KEY = generate_key(KeyKind.P256)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with run_registry(tmp_path / "registry") as registry:
        yield registry.host


def push(host: str, key: PrivateKey = KEY) -> Reference:
    """An image with everything attached; pinned."""
    reference = Reference.parse(f"{host}/lab/sensor:sha-0123456")

    async def run() -> Reference:
        client = RegistryClient(keyring=Keyring.of({host: Credential("admin", password("admin"))}))
        shelf = await Shelf(client, reference).fill()
        document = shelf.contents()
        await shelf.attach_signed(key, shelf.origin(), shelf.listed(document))
        await shelf.attach(sbom_referrer(shelf.subject, dump_sbom(document), created=""))
        await client.close()
        return reference.with_digest(shelf.subject.digest)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", list(KeyKind))
def test_securesystemslib_verifies_our_envelopes(kind: KeyKind) -> None:
    key = generate_key(kind)
    document = envelope_to_json(sign(IN_TOTO, b'{"a": 1}', [key]))
    other = OtherEnvelope.from_dict(document)
    scheme = {KeyKind.P256: "ecdsa-sha2-nistp256", KeyKind.ED25519: "ed25519"}[kind]
    public = SSlibKey.from_crypto(load_pem_public_key(key.public.to_pem()), keyid=key.key_id, scheme=scheme)
    assert list(other.verify([public], 1)) == [key.key_id]
    assert other.pae() == b'DSSEv1 28 application/vnd.in-toto+json 8 {"a": 1}'


def test_what_securesystemslib_writes_is_read_here() -> None:
    other = OtherEnvelope(b"payload", IN_TOTO, {})
    assert envelope_from_json(other.to_dict()).payload == b"payload"


def test_oras_finds_everything_by_the_images_digest(host: str) -> None:
    reference = push(host)
    client = oras.client.OrasClient(hostname=host, insecure=True, tls_verify=False, auth_backend="basic")
    client.auth.set_basic_auth("reader", password("reader"))
    url = f"{client.prefix}://{host}/v2/{reference.repository}/referrers/{reference.digest}"
    listed = client.do_request(url, "GET").json()["manifests"]
    found = sorted(entry["artifactType"] for entry in listed)
    assert found == [
        sbom.MEDIA_TYPE,
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    ]
    manifest = client.get_manifest(f"{host}/{reference.repository}@{listed[0]['digest']}")
    assert manifest["subject"]["digest"] == str(reference.digest)


@pytest.fixture
def cosign() -> str:
    return str(require_built("cosign") / "cosign")


def run_cosign(cosign: str, tmp_path: Path, host: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "config.json").write_bytes(format_docker_config({host: Credential("reader", password("reader"))}))
    environment = {**os.environ, "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}
    return subprocess.run(
        [cosign, "verify-attestation", "--insecure-ignore-tlog", "--allow-http-registry", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("kind", ["slsaprovenance1", "cyclonedx"])
def test_cosign_verifies_what_we_signed(cosign: str, host: str, tmp_path: Path, kind: str) -> None:
    reference = push(host)
    public = write_pair(tmp_path, KEY, name="k", password=None).public
    done = run_cosign(cosign, tmp_path, host, "--key", str(public), "--type", kind, str(reference))
    assert done.returncode == 0, done.stderr
    assert "payload" in done.stdout


def test_cosign_refuses_what_another_key_signed(cosign: str, host: str, tmp_path: Path) -> None:
    reference = push(host, generate_key(KeyKind.P256))
    public = write_pair(tmp_path, KEY, name="k", password=None).public
    done = run_cosign(cosign, tmp_path, host, "--key", str(public), "--type", "cyclonedx", str(reference))
    assert done.returncode != 0


def test_a_registry_without_referrers_lists_them_by_tag(tmp_path: Path) -> None:
    require("docker-registry")
    with run_docker_registry(tmp_path / "debian") as url:
        reference = push(url.removeprefix("http://"))
        digest = str(reference.digest)
        with urllib.request.urlopen(f"{url}/v2/{reference.repository}/tags/list") as answer:  # noqa: S310 - loopback
            assert digest.replace(":", "-") in json.load(answer)["tags"]

        async def run() -> Verification:
            client = RegistryClient()
            found = await verify(client, reference, PLATFORM, Expectation(keys=(KEY.public,), source=SOURCE))
            await client.close()
            return found

        assert conclude(asyncio.run(run()).findings) is Verdict.PASSED
