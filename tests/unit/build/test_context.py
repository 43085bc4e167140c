"""What a service's directory gives a layer, and what is refused by name."""

import os
import socket
from pathlib import Path

import pytest

from towpath.build.context import ContextError, read_chunks, read_context
from towpath.build.entries import Entry, Kind


@pytest.fixture
def service(tmp_path: Path) -> Path:
    directory = tmp_path / "sensor"
    (directory / "lib").mkdir(parents=True)
    (directory / "main.py").write_text("print('hello')\n")
    (directory / "lib" / "model.py").write_text("X = 1\n")
    (directory / "run.sh").write_text("#!/bin/sh\n")
    (directory / "run.sh").chmod(0o755)
    return directory


def read(entry: Entry) -> bytes:
    return b"".join(read_chunks(entry))


def test_files_are_listed_in_name_order_with_their_execute_bit(service: Path) -> None:
    entries = read_context(service).entries

    assert [(entry.path, entry.mode) for entry in entries] == [
        ("lib/model.py", 0o644),
        ("main.py", 0o644),
        ("run.sh", 0o755),
    ]
    assert read(entries[1]) == b"print('hello')\n"


@pytest.mark.parametrize(
    "name", [".git/HEAD", "lib/__pycache__/model.pyc", "old.pyc", ".venv/bin/python", ".towpath/state.db"]
)
def test_version_control_byte_code_and_tool_caches_are_left_out(service: Path, name: str) -> None:
    before = read_context(service)
    (service / name).parent.mkdir(parents=True, exist_ok=True)
    (service / name).write_bytes(b"x")

    assert read_context(service).entries == before.entries
    assert read_context(service, only=before.names() | {name}).entries == before.entries


def test_an_empty_directory_is_left_out_as_git_does(service: Path) -> None:
    (service / "data").mkdir()

    assert read_context(service).names() == {"main.py", "lib/model.py", "run.sh"}


def test_a_relative_link_inside_stays_a_link(service: Path) -> None:
    (service / "lib" / "start.py").symlink_to("../main.py")

    link = next(entry for entry in read_context(service).entries if entry.path == "lib/start.py")

    assert (link.kind, link.target) == (Kind.SYMLINK, "../main.py")


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "../../x", ".."])
def test_a_link_that_leaves_the_directory_is_refused_by_name(service: Path, target: str) -> None:
    (service / "link").symlink_to(target)

    with pytest.raises(ContextError, match=r"link link leaves the service's directory \(LinkEscapes\)"):
        read_context(service)


def test_a_link_to_a_directory_is_not_followed(service: Path) -> None:
    (service / "other").symlink_to("lib")

    assert "other/model.py" not in read_context(service).names()


def test_a_socket_is_refused_by_name(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(service)  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("api.sock")

    with pytest.raises(ContextError, match=r"api\.sock cannot be put into an image \(SpecialFile\): it is a socket"):
        read_context(service)


def test_a_pipe_is_refused_by_name(service: Path) -> None:
    os.mkfifo(service / "lib" / "queue")

    with pytest.raises(ContextError, match=r"lib/queue cannot .* it is a pipe"):
        read_context(service)


def test_a_name_that_is_not_utf8_is_refused(service: Path) -> None:
    Path(os.fsdecode(os.fsencode(service) + b"/caf\xe9")).write_text("x")

    with pytest.raises(ContextError, match=r"caf\\xe9 cannot be put into an image \(BadName\)"):
        read_context(service)


def test_a_missing_directory_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="services/gone cannot be read") as caught:
        read_context(tmp_path / "gone", label="services/gone")

    assert "towpath.yaml" in caught.value.hint


def test_a_directory_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()

    with pytest.raises(ContextError, match="ContextEmpty"):
        read_context(tmp_path)


def test_the_metadata_key_changes_with_size_time_name_and_mode(service: Path) -> None:
    keys = {read_context(service).metadata_key}
    (service / "main.py").write_text("print('hello!')\n")
    keys.add(read_context(service).metadata_key)
    os.utime(service / "main.py", (1, 1))
    keys.add(read_context(service).metadata_key)
    (service / "main.py").rename(service / "other.py")
    keys.add(read_context(service).metadata_key)
    (service / "other.py").chmod(0o700)
    keys.add(read_context(service).metadata_key)

    assert len(keys) == 5


def test_a_rewrite_that_keeps_size_and_time_changes_the_metadata_key(service: Path) -> None:
    os.utime(service / "main.py", ns=(10**18, 10**18))
    before = read_context(service).metadata_key
    (service / "main.py").write_text("print('HELLO')\n")
    os.utime(service / "main.py", ns=(10**18, 10**18))

    assert read_context(service).metadata_key != before


def test_of_a_file_only_name_size_and_execute_bit_are_kept(service: Path) -> None:
    before = read_context(service).entries
    os.utime(service / "main.py", (1, 1))
    (service / "main.py").chmod(0o600)
    assert read_context(service).entries == before

    (service / "main.py").chmod(0o755)
    assert read_context(service).entries != before


def test_whoever_knows_which_files_count_names_them(service: Path) -> None:
    (service / "ignored.log").write_text("noise")
    (service / "data").mkdir(exist_ok=True)
    (service / "data" / "new.json").write_text("{}")
    found = read_context(service, only=frozenset({"main.py", "data/new.json", "deleted.py"}))

    assert [entry.path for entry in found.entries] == ["data/new.json", "main.py"]


def test_a_file_that_grows_or_shrinks_after_the_walk_is_refused(service: Path) -> None:
    entries = {entry.path: entry for entry in read_context(service).entries}
    (service / "main.py").write_text("print('hello')\n# more\n")
    (service / "run.sh").write_text("#!")

    for name in ("main.py", "run.sh"):
        with pytest.raises(ContextError, match=r"\(ContextChanged\)"):
            read(entries[name])


def test_a_file_swapped_for_a_link_after_the_walk_is_not_followed(service: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("print('secre')\n")
    entry = next(entry for entry in read_context(service).entries if entry.path == "main.py")
    (service / "main.py").unlink()
    (service / "main.py").symlink_to(tmp_path / "secret")

    with pytest.raises(ContextError, match=r"main\.py cannot be read \(ContextUnreadable\)"):
        read(entry)


def test_a_file_that_vanishes_after_the_walk_is_named(service: Path) -> None:
    entry = next(entry for entry in read_context(service).entries if entry.path == "lib/model.py")
    (service / "lib" / "model.py").unlink()

    with pytest.raises(ContextError, match=r"lib/model\.py cannot be read"):
        read(entry)
