import errno
import os
import stat
from pathlib import Path

import pytest

from towpath.cluster.node.sandbox.beneath import Kind, open_beneath


def name_of(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    finally:
        os.close(descriptor)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_is_there_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert name_of(open_beneath(str(tmp_path), "a//./b")) == str(tmp_path / "a" / "b")
    assert name_of(open_beneath(str(tmp_path), "")) == str(tmp_path)


@pytest.mark.parametrize(("kind", "is_kind"), [("directory", stat.S_ISDIR), ("file", stat.S_ISREG)])
def test_what_is_missing_is_made_with_the_way_to_it(tmp_path: Path, kind: Kind, is_kind: object) -> None:
    descriptor = open_beneath(str(tmp_path), "a/b/c", make=kind, mode=0o777)
    assert is_kind(os.fstat(descriptor).st_mode)  # type: ignore[operator]
    assert name_of(descriptor) == str(tmp_path / "a" / "b" / "c")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o777


def test_what_is_missing_is_an_error_unless_it_is_to_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(str(tmp_path), "a")


@pytest.mark.parametrize("target", ["outside", "inside", "nowhere/at/all"])
@pytest.mark.parametrize("path", ["link", "link/below"])
@pytest.mark.parametrize("make", ["", "directory", "file"])
def test_no_link_is_followed_and_nothing_is_made_behind_one(tmp_path: Path, path: str, target: str, make: Kind) -> None:
    volume = tmp_path / "volume"
    (volume / "inside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (volume / "link").symlink_to(tmp_path / target if target != "inside" else target)
    before = descriptors()
    with pytest.raises(OSError, match=r"link|below|symbolic|directory") as caught:
        open_beneath(str(volume), path, make=make)
    assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}
    assert list((tmp_path / "outside").iterdir()) == list((volume / "inside").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()
    assert descriptors() == before


def test_climbing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="climbs out"):
        open_beneath(str(tmp_path), "a/../../x", make="directory")
