"""What `towpath build --push` leaves beside its images: attestations of every platform, signed when a key is given."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.registry import password
from fakes.registry_process import run_registry
from fakes.worktree import Worktree
from towpath.cli.main import main
from towpath.oci.keyring import Credential, format_docker_config

Run = Callable[..., tuple[int, str, str]]
REFUSED = 3
PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worktree]:
    """A repository of one site without a base, in front of a registry."""
    with run_registry(tmp_path / "registry") as registry:
        lab = Worktree(tmp_path / "lab")
        services = "services:\n  site: {base: scratch, static: ., entrypoint: [/app/server]}\n"
        lab.commit(
            {
                "towpath.yaml": f"registry: {registry.host}/lab\n{services}",
                "services/site/page.txt": "hello\n",
                ".gitignore": "/.towpath/\n",
            }
        )
        logins = tmp_path / "logins.json"
        logins.write_bytes(format_docker_config({registry.host: Credential("admin", password("admin"))}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(logins))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(lab.path)
        yield lab


@pytest.fixture
def towpath(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        seen = capsysbinary.readouterr()
        return code, seen.out.decode(), seen.err.decode()

    return run


def build(towpath: Run, *arguments: str) -> Any:
    code, out, err = towpath("build", "--push", "-o", "json", *arguments)
    assert code == 0, err
    return json.loads(out)["services"][0]


@pytest.mark.usefixtures("lab")
def test_every_platform_of_an_index_is_attested(towpath: Run) -> None:
    pushed = build(towpath, "--platform", ",".join(PLATFORMS))
    digests = set()
    for platform in PLATFORMS:
        code, out, _ = towpath("verify", pushed["reference"], "--platform", platform, "--allow-unsigned", "-o", "json")
        document = json.loads(out)
        assert (code, document["verdict"]) == (0, "passed"), out
        digests.add(document["digest"])
    assert len(digests) == len(PLATFORMS)
    assert pushed["digest"] not in digests


def test_what_is_built_by_hand_is_signed_by_the_key_that_is_given(lab: Worktree, towpath: Run) -> None:
    code, out, _ = towpath(
        "keys", "create", "--to", str(lab.path / ".towpath" / "elsewhere"), "--name", "ci", "-o", "json"
    )
    assert code == 0
    keys = json.loads(out)
    pushed = build(towpath, "--key", keys["private"])
    commit = lab.git("rev-parse", "HEAD")
    assert towpath("verify", pushed["reference"], "--key", keys["public"], "--commit", commit)[0] == 0
    assert towpath("verify", pushed["reference"])[0] == REFUSED, "no key is trusted here"


def test_a_key_that_is_given_later_signs_what_is_in_the_registry(lab: Worktree, towpath: Run) -> None:
    unsigned = build(towpath)
    stored = files_of(lab.path.parent / "registry")
    assert (unsigned["signed"], towpath("verify", unsigned["reference"])[0]) == (False, REFUSED)
    towpath("keys", "create")
    signed = build(towpath)
    assert (signed["signed"], signed["digest"], signed["bytes_sent"]) == (True, unsigned["digest"], 0)
    assert towpath("verify", signed["reference"])[0] == 0
    assert files_of(lab.path.parent / "registry") > stored
    code, out, _ = towpath("build", "--push")
    assert (code, out.splitlines()[-1]) == (0, "signed: site")


def test_pushing_the_same_again_attests_nothing_anew(lab: Worktree, towpath: Run) -> None:
    towpath("keys", "create")
    first = build(towpath)
    stored = files_of(lab.path.parent / "registry")
    assert stored
    assert build(towpath)["digest"] == first["digest"]
    assert files_of(lab.path.parent / "registry") == stored


def files_of(registry: Path) -> set[str]:
    """The blobs that a registry holds."""
    return {path.name for path in registry.rglob("*") if path.is_file() and len(path.name) == len("f" * 64)}
