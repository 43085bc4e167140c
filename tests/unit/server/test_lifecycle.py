"""The life of `towpath up`."""

import os
import signal
import socket
from pathlib import Path

import pytest

from fakes.platform import free_ports
from towpath.errors import ConflictError, TowpathError, UserError
from towpath.http.server import ListenError
from towpath.server.lifecycle import Running, run_platform
from towpath.server.runfile import read_run_info
from towpath.server.running import Lock
from towpath.server.settings import Settings


def settings_of(root: Path, **options: object) -> Settings:
    port, kube_port = free_ports(2)
    root.mkdir(exist_ok=True)
    return Settings(root, port=port, kube_port=kube_port, **options)  # type: ignore[arg-type]


def must_not_start(running: Running) -> None:
    raise AssertionError(f"{running.name} started")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    settings = settings_of(tmp_path / "lab")
    seen: list[Running] = []

    def on_ready(running: Running) -> None:
        seen.append(running)
        info = read_run_info(settings.state)
        assert (info.pid, info.url) == (os.getpid(), running.url)
        os.kill(os.getpid(), number)

    run_platform(settings, on_ready=on_ready)

    assert (seen[0].name, seen[0].branch, seen[0].remote) == ("lab", "main", "")
    assert settings.state.stat().st_mode & 0o777 == 0o700
    with pytest.raises(UserError, match="NotRunning"):
        read_run_info(settings.state)


def test_a_second_one_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "lab")
    settings.state.mkdir()
    with Lock(settings.state), pytest.raises(ConflictError, match="another process runs it"):
        run_platform(settings, on_ready=must_not_start)


def test_a_port_that_another_program_holds_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "lab")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.port))
        holder.listen()
        with pytest.raises(ListenError, match=str(settings.port)):
            run_platform(settings, on_ready=must_not_start)
    with pytest.raises(UserError, match="NotRunning"):
        read_run_info(settings.state)


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "lab")
    settings.state.mkdir()
    (settings.state / "git").write_text("in the way")

    with pytest.raises(TowpathError, match="cannot go on"):
        run_platform(settings, on_ready=must_not_start)


def test_a_remote_is_recalled_before_anything_starts(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "lab", remote=str(tmp_path / "outside.git"))
    seen: list[Running] = []

    def on_ready(running: Running) -> None:
        seen.append(running)
        os.kill(os.getpid(), signal.SIGTERM)

    run_platform(settings, on_ready=on_ready)
    run_platform(Settings(settings.root, port=settings.port, kube_port=settings.kube_port), on_ready=on_ready)

    assert [running.remote for running in seen] == [str(tmp_path / "outside.git")] * 2
    assert [running.name for running in seen] == ["outside"] * 2
