import os
import subprocess
import sys
from pathlib import Path

import pytest

from towpath.cluster.node.housekeeping import (
    MemoryDirectory,
    claim_memory_directory,
    machine_name,
    remove_abandoned,
    remove_leftovers,
)

KEPT = {"metadata": {"name": "web", "namespace": "dev", "uid": "uid-1"}}


def test_what_belongs_to_pods_that_are_gone_is_removed(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    for path in (
        "pods/uid-1",
        "pods/uid-2",
        "logs/dev_web_uid-1/app",
        "logs/dev_old_uid-2/app",
        "memory/uid-1",
        "memory/x",
    ):
        (tmp_path / path).mkdir(parents=True)
    remove_leftovers(tmp_path, memory, [KEPT])
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")}
    assert left == {"pods/uid-1", "logs/dev_web_uid-1", "memory/uid-1"}


def test_a_fresh_data_directory_needs_nothing(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "none", None, [])


def test_names_outside_of_the_data_directory_follow_from_it(tmp_path: Path) -> None:
    assert machine_name(tmp_path / "a") == machine_name(tmp_path / "a")
    assert machine_name(tmp_path / "a") != machine_name(tmp_path / "b")


def claim(tmp_path: Path, name: str = "data") -> MemoryDirectory:
    found = claim_memory_directory(tmp_path / name, tmp_path / "shm")
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def shm(tmp_path: Path) -> Path:
    directory = tmp_path / "shm"
    directory.mkdir()
    return directory


def test_the_memory_directory_is_private_and_goes_with_its_agent(tmp_path: Path, shm: Path) -> None:
    claimed = claim(tmp_path)
    assert claimed.path == shm / machine_name(tmp_path / "data")
    assert claimed.path.stat().st_mode & 0o777 == 0o700
    (claimed.path / "uid-1").mkdir()
    claimed.release()
    assert list(shm.iterdir()) == []


def test_what_an_agent_that_was_killed_left_of_a_pod_that_still_exists_is_kept(tmp_path: Path) -> None:
    claimed = claim(tmp_path)
    (claimed.path / "uid-1").mkdir()
    remove_leftovers(tmp_path, claimed.path, [KEPT])
    assert sorted(path.name for path in claimed.path.iterdir()) == ["lock", "uid-1"]
    claimed.release()


def test_a_link_in_the_place_of_the_memory_directory_is_not_trusted(tmp_path: Path, shm: Path) -> None:
    (shm / machine_name(tmp_path / "data")).symlink_to(tmp_path)
    assert claim_memory_directory(tmp_path / "data", shm) is None
    assert remove_abandoned(shm) == []
    assert tmp_path.exists()


def test_a_machine_without_a_tmpfs_has_no_memory_directory(tmp_path: Path) -> None:
    assert claim_memory_directory(tmp_path / "data", tmp_path / "absent") is None
    assert remove_abandoned(tmp_path / "absent") == []


def test_what_a_killed_agent_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path, shm: Path) -> None:
    living = claim(tmp_path, "living")
    (living.path / "uid-1").mkdir()
    program = (
        "import sys; from pathlib import Path; from towpath.cluster.node.housekeeping import claim_memory_directory\n"
        f"made = claim_memory_directory(Path({str(tmp_path / 'killed')!r}), Path({str(shm)!r}))\n"
        "(made.path / 'uid-2').mkdir(); (made.path / 'uid-2' / 'secret').touch(); print(made.path, flush=True)\n"
        "sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        killed = Path(child.stdout.readline().strip())
        assert killed.parent == shm
        assert remove_abandoned(shm) == []  # it lives
        child.kill()
        child.wait()
    assert remove_abandoned(shm) == [killed]
    assert list(shm.iterdir()) == [living.path]
    assert (living.path / "uid-1").exists()
    living.release()


def test_nothing_but_our_own_is_ever_removed(shm: Path) -> None:
    for name in ("towpath-notes", "towpath-0123456789abc", "other", "towpath-0123456789ab"):
        (shm / name).mkdir()
    (shm / "towpath-0123456789abc" / "lock").touch()
    (shm / "other" / "lock").touch()
    assert remove_abandoned(shm) == []  # the last has no lock: it is being made at this moment
    assert len(list(shm.iterdir())) == 4


def test_two_agents_never_share_a_memory_directory(tmp_path: Path, shm: Path) -> None:
    claimed = claim(tmp_path)
    assert claim_memory_directory(tmp_path / "data", shm) is None
    claimed.release()
    claim(tmp_path).release()
