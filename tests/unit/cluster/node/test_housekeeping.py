from pathlib import Path

from towpath.cluster.node.housekeeping import find_memory_directory, machine_name, remove_leftovers

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


def test_the_memory_directory_is_private(tmp_path: Path) -> None:
    directory = find_memory_directory(tmp_path)
    if directory is None:
        return  # a machine without a tmpfs keeps secrets in the data directory, which is private too
    try:
        assert directory.stat().st_mode & 0o777 == 0o700
    finally:
        directory.rmdir()


def test_a_link_in_the_place_of_the_memory_directory_is_not_trusted(tmp_path: Path) -> None:
    directory = find_memory_directory(tmp_path)
    if directory is None:
        return
    directory.rmdir()
    directory.symlink_to(tmp_path)
    try:
        assert find_memory_directory(tmp_path) is None
    finally:
        directory.unlink()
