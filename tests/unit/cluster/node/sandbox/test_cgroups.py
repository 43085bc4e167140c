from pathlib import Path

import pytest

from towpath.cluster.node.sandbox.cgroups import Limits, find_cgroups, prepare_files, prepare_rlimits

LIMITS = Limits(memory_bytes=64 << 20, cpu_cores=0.5, pids=100)


def v1_tree(mount: Path) -> None:
    for controller in ("memory", "pids", "cpu"):
        (mount / controller / "user").mkdir(parents=True)


MEMBERSHIP = "4:memory:/user\n3:pids:/\n2:cpu,cpuacct:/gone\n0::/\n"


def test_version_1_limits_are_written_for_each_controller(tmp_path: Path) -> None:
    v1_tree(tmp_path)
    cgroups = find_cgroups("towpath-x", mount=tmp_path, own=MEMBERSHIP)
    group = cgroups.create("web", LIMITS)
    assert group is not None
    assert cgroups.kind == "cgroup v1"
    assert (tmp_path / "memory/user/towpath-x/web/memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (tmp_path / "pids/towpath-x/web/pids.max").read_text() == "102"
    assert (tmp_path / "cpu/towpath-x/web/cpu.cfs_quota_us").read_text() == "50000"
    assert len(group.join_files) == 3


def test_an_oom_kill_is_counted(tmp_path: Path) -> None:
    v1_tree(tmp_path)
    group = find_cgroups("towpath-x", mount=tmp_path, own=MEMBERSHIP).create("web", LIMITS)
    assert group is not None
    assert group.oom_kills() == 0
    (tmp_path / "memory/user/towpath-x/web/memory.oom_control").write_text("oom_kill_disable 0\noom_kill 2\n")
    assert group.oom_kills() == 2


def v2_tree(mount: Path) -> Path:
    own = mount / "app.scope"
    own.mkdir(parents=True)
    (mount / "cgroup.controllers").write_text("cpu memory pids")
    for directory in (own, own / "towpath-x"):
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.subtree_control").write_text("cpu memory pids" if directory == own else "")
    return own


def test_version_2_uses_one_directory_a_container(tmp_path: Path) -> None:
    own = v2_tree(tmp_path)
    cgroups = find_cgroups("towpath-x", mount=tmp_path, own="0::/app.scope\n")
    assert (own / "towpath-x/cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    group = cgroups.create("web", LIMITS)
    assert group is not None
    assert (own / "towpath-x/web/cpu.max").read_text() == "50000 100000"
    assert group.join_files == [str(own / "towpath-x/web/cgroup.procs")]
    (own / "towpath-x/web/memory.events").write_text("low 0\noom_kill 1\n")
    assert group.oom_kills() == 1


def test_without_write_access_the_reason_is_kept_and_nothing_is_limited(tmp_path: Path) -> None:
    cgroups = find_cgroups("towpath-x", mount=tmp_path / "absent", own=MEMBERSHIP)
    assert cgroups.kind == "rlimit"
    assert "No such file" in cgroups.missing
    assert cgroups.create("web", LIMITS) is None


def test_no_limits_need_no_group(tmp_path: Path) -> None:
    v1_tree(tmp_path)
    assert find_cgroups("towpath-x", mount=tmp_path, own=MEMBERSHIP).create("web", Limits()) is None


def test_groups_that_a_crashed_agent_left_are_removed(tmp_path: Path) -> None:
    v1_tree(tmp_path)
    (tmp_path / "pids/towpath-x/old").mkdir(parents=True)
    find_cgroups("towpath-x", mount=tmp_path, own=MEMBERSHIP)
    assert list((tmp_path / "pids/towpath-x").iterdir()) == []


@pytest.mark.parametrize("version", [1, 2])
def test_a_tiny_share_of_a_processor_is_at_least_what_the_kernel_takes(version: int) -> None:
    files = prepare_files(Limits(cpu_cores=0.001), version=version)
    assert next(iter(files.values())).startswith("1000")


def test_rlimits_leave_room_for_what_is_mapped_but_not_used() -> None:
    assert prepare_rlimits(Limits(memory_bytes=64 << 20))["RLIMIT_DATA"] > 64 << 20
    assert prepare_rlimits(Limits(cpu_cores=1)) == {}
