"""`towpath mirror`: a platform's releases in an outside registry, and back from there after the loss of its own."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.lab import SERVICES
from fakes.platform import LivePlatform
from fakes.registry import password
from fakes.registry_process import run_registry
from fakes.standalone_registry import serve_alone


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry and prefix outside of the platform, and a person who is logged in there."""
    with run_registry(tmp_path / "outside") as registry:
        auth = base64.b64encode(f"admin:{password('admin')}".encode()).decode()
        logins = tmp_path / "auth.json"
        logins.write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(logins))
        yield f"{registry.host}/me/lab"


def test_a_release_survives_the_loss_of_the_registry(tmp_path: Path, outside: str) -> None:
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        platform.start()
        empty = platform.towpath("mirror", "to", outside, expect=4)
        assert "nothing was pushed" in empty.err
        platform.push()
        first = platform.head()
        for service in SERVICES:
            platform.await_healthy("dev", service, first)
        refused = platform.towpath("mirror", "to", outside, "--environment", "prod", expect=4)
        assert "towpath promote" in refused.err
        platform.document("promote", *SERVICES, "--to", "prod")
        digests = {name: platform.await_healthy("prod", name, first)["digest"] for name in SERVICES}

        told = platform.document("mirror", "to", outside, "--environment", "prod")
        assert {one["service"]: one["digest"] for one in told["images"]} == digests
        assert all(one["reference"].endswith(f":sha-{first[:7]}") for one in told["images"])
        again = platform.towpath("mirror", "to", outside, "--commit", first)
        assert "0 bytes were sent" in again.out
        assert "clock: 0 sent" in again.err

        platform.stop()
        shutil.rmtree(platform.state / "registry")
        platform.start()
        back = platform.document("mirror", "from", outside, "--environment", "prod")
        assert {one["service"]: one["digest"] for one in back["images"]} == digests
        assert platform.tags("clock") >= {f"sha-{first[:7]}"}
        platform.document("mirror", "from", outside, "--commit", f"sha-{first[:7]}")
        assert platform.tags("sets") >= {f"sha-{first[:7]}"}


def test_a_wrong_choice_is_told_what_was_expected(tmp_path: Path, outside: str) -> None:
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        platform.start()
        platform.push()
        platform.await_healthy("dev", "clock", platform.head())
        both = platform.towpath("mirror", "to", outside, "--environment", "dev", "--commit", "sha-1234567", expect=2)
        assert "expected --environment or --commit" in both.err
        assert "got none" in platform.towpath("mirror", "from", outside, expect=2).err
        assert "sha-1234567" in platform.towpath("mirror", "to", outside, "--commit", "latest", expect=2).err
        missing = platform.towpath("mirror", "from", outside, "--commit", "sha-9999999", expect=4)
        assert "sets:sha-9999999" in missing.err
        unreachable = platform.towpath("mirror", "to", "127.0.0.1:9/me/lab", expect=6)
        assert "127.0.0.1:9" in unreachable.err


def test_a_release_goes_over_tls_is_cut_off_goes_on_and_comes_back(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "outside", "--tls") as outside, LivePlatform(tmp_path) as platform:
        platform.environment.pop("XDG_CONFIG_HOME", None)  # it would win over the home that a platform has here
        logins = tmp_path / "auth.json"
        options = ("--repository", "me/*", "--allow", "push", "--format", "docker-config", "--registry", outside.host)
        logins.write_text(outside.robot("create", "mirror", *options))
        platform.environment["REGISTRY_AUTH_FILE"] = str(logins)
        kept = tmp_path / ".config" / "containers" / "certs.d" / outside.host / "ca.crt"
        place = f"{outside.host}/me/lab"
        platform.write_lab()
        platform.start("--tls")
        platform.follow_greeting()
        platform.push()
        first = platform.head()
        digests = {name: platform.await_healthy("dev", name, first)["digest"] for name in SERVICES}
        # Without the authority a registry on loopback is asked in clear text, which a TLS one does not answer.
        platform.towpath("mirror", "to", place, "--environment", "dev", expect=6)
        kept.parent.mkdir(parents=True)
        shutil.copy(tmp_path / "outside" / "tls" / "ca.crt", kept)

        argv = ["towpath", "mirror", "to", place, "--environment", "dev"]
        cut = subprocess.Popen(
            argv, cwd=platform.root, env=platform.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert cut.stderr is not None
        assert cut.stderr.readline().startswith(b"clock: "), "one service is there, the other is under way"
        cut.kill()
        cut.communicate()
        told = platform.document("mirror", "to", place, "--environment", "dev")
        assert {one["service"]: one["digest"] for one in told["images"]} == digests
        assert told["images"][0]["blobs"]["sent"] == 0, "what was there before the cut is not sent again"

        platform.stop()
        shutil.rmtree(platform.state / "registry")
        platform.start("--tls")
        back = platform.document("mirror", "from", place, "--environment", "dev")
        assert {one["service"]: one["digest"] for one in back["images"]} == digests
