"""Who is told of pushes, as a user's options say."""

from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from towpath.errors import TowpathError, UserError
from towpath.registry.notifications import Notifier
from towpath.server.notifying import SECRET_FILE, open_notifier

URL = "http://listener.test/hook"


def open_in(root: Path, url: str = URL, secret_file: Path | None = None) -> Notifier:
    return open_notifier(root, [url], secret_file=secret_file, instance="lab", clock=VirtualClock())


async def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    await open_in(tmp_path).close()
    made = (tmp_path / SECRET_FILE).read_bytes()
    await open_in(tmp_path).close()
    assert (tmp_path / SECRET_FILE).read_bytes() == made
    assert len(made.strip()) > 40
    assert (tmp_path / SECRET_FILE).stat().st_mode & 0o777 == 0o600


async def test_a_given_secret_is_used_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("shared\n")
    await open_in(tmp_path, secret_file=tmp_path / "mine").close()
    assert not (tmp_path / SECRET_FILE).exists()


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_secret_that_cannot_be_used_is_said(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "mine").write_text(content)
    with pytest.raises(UserError, match=r"secret .* cannot be"):
        open_in(tmp_path, secret_file=tmp_path / "mine")


def test_an_address_is_judged_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="BadURL"):
        open_in(tmp_path, "listener")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(TowpathError, match="cannot be written"):
        open_in(tmp_path / "nowhere")
