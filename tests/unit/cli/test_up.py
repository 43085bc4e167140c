"""`towpath up`, as a user starts it."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.platform import free_ports
from towpath.aio.clock import SystemClock
from towpath.server.runfile import RUN_FILE

PATIENCE_SECONDS = 30.0


@pytest.fixture
def stop_when_up() -> Any:
    """End the platform of a directory as soon as it is up, as `systemctl stop` would."""
    threads: list[threading.Thread] = []
    over = threading.Event()

    def arrange(root: Path) -> None:
        def wait() -> None:
            clock = SystemClock()
            deadline = clock.monotonic() + PATIENCE_SECONDS
            while not (root / ".towpath" / RUN_FILE).exists():
                if over.wait(0.02) or clock.monotonic() > deadline:
                    return
            os.kill(os.getpid(), signal.SIGTERM)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield arrange
    over.set()
    for thread in threads:
        thread.join()


def test_it_listens_where_the_blueprint_says_and_tells_what_to_do_next(
    tmp_path: Path, type_: Callable[..., Any], stop_when_up: Callable[[Path], None]
) -> None:
    port, kube_port = free_ports(2)
    root = tmp_path / "lab"
    root.mkdir()
    (root / "towpath.yaml").write_text(f"registry: 127.0.0.1:{port}/lab\nbranch: trunk\n")
    stop_when_up(root)
    said = type_("up", "--kube-port", str(kube_port), "-C", str(root))

    assert said.code == 0
    assert said.lines[0].startswith(f"lab is up at http://127.0.0.1:{port} after ")
    assert said.lines[1] == "  push      git push towpath trunk"


def test_a_repository_that_is_followed_need_not_be_checked_out(
    tmp_path: Path, type_: Callable[..., Any], stop_when_up: Callable[[Path], None]
) -> None:
    port, kube_port = free_ports(2)
    root = tmp_path / "node"
    root.mkdir()
    stop_when_up(root)
    ports = ["--port", str(port), "--kube-port", str(kube_port)]
    said = type_("up", "--remote", str(tmp_path / "fleet.git"), *ports, "-C", str(root))

    assert said.code == 0
    assert said.lines[0].startswith("fleet is up at ")
    assert said.lines[1] == f"  follows   {tmp_path}/fleet.git, branch main"


def test_without_a_repository_there_is_nothing_to_run(tmp_path: Path, type_: Callable[..., Any]) -> None:
    said = type_("up", "-C", str(tmp_path))

    assert (said.code, "is no platform repository" in said.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_url_with_a_password_is_refused_before_anything_is_written_to_disk(
    tmp_path: Path, type_: Callable[..., Any]
) -> None:
    said = type_("up", "--remote", "https://ada:secret@git.example/lab.git", "-C", str(tmp_path))

    assert said.code == 2
    assert "secret" not in said.err
    assert not (tmp_path / ".towpath" / "remote.json").exists()


def test_pods_are_kept_apart_by_less_only_in_ways_there_are(tmp_path: Path, type_: Callable[..., Any]) -> None:
    said = type_("up", "--isolation", "hope", "-C", str(tmp_path))

    assert said.code == 2
    assert "'hope' is not one of 'sandbox+hostnetwork', 'process'" in said.err
