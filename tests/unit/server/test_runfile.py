"""One platform a directory, and where it listens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from towpath.errors import ConflictError, UserError
from towpath.server.runfile import RUN_FILE, RunInfo, read_run_info
from towpath.server.running import Lock, remove_run_info, write_run_info

INFO = RunInfo(os.getpid(), "http://127.0.0.1:7070", "https://127.0.0.1:7443", "1")


def test_the_command_line_finds_a_running_platform(tmp_path: Path) -> None:
    write_run_info(tmp_path, INFO)

    assert read_run_info(tmp_path) == INFO
    assert (tmp_path / RUN_FILE).stat().st_mode & 0o777 == 0o600


def test_a_platform_that_stopped_is_not_found(tmp_path: Path) -> None:
    write_run_info(tmp_path, INFO)
    remove_run_info(tmp_path)
    remove_run_info(tmp_path)
    with pytest.raises(UserError, match="NotRunning") as caught:
        read_run_info(tmp_path)
    assert caught.value.hint.endswith("towpath up")


def test_a_file_left_by_a_crash_does_not_mislead(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_run_info(tmp_path, RunInfo(ended.pid, INFO.url, INFO.kube_url, "1"))
    with pytest.raises(UserError, match="NotRunning"):
        read_run_info(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "url": "", "kube_url": "", "version": ""}']
)
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / RUN_FILE).write_text(content)
    with pytest.raises(UserError, match="NotRunning"):
        read_run_info(tmp_path)


def test_a_second_platform_in_one_directory_is_refused(tmp_path: Path) -> None:
    with Lock(tmp_path), pytest.raises(ConflictError, match="another process runs it"), Lock(tmp_path):
        pass
    with Lock(tmp_path):
        pass  # the first has ended
