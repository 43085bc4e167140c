"""A disk without space under a whole platform: nothing acknowledged is lost, and it goes on when there is some.

The platform lives on a small tmpfs, mounted in a mount namespace of its own (and a user namespace, where the tests are
not run by root): the test that pytest collects runs this file again inside of it.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.intact import await_intact
from fakes.lab import SERVICES, program, source_of
from fakes.platform import LivePlatform

pytestmark = pytest.mark.faults

INSIDE = "TOWPATH_TEST_SMALL_DISK"
SIZE = "160m"
TIMEOUT_SECONDS = 900


@pytest.mark.skipif(INSIDE in os.environ, reason="this is the inside")
@pytest.mark.parametrize(
    "name",
    [
        "a_push_is_refused_or_kept_and_built_when_there_is_space_again",
        "a_start_without_space_says_so_or_serves_and_loses_nothing",
    ],
)
def test_without_space(name: str, tmp_path: Path) -> None:
    as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *as_user, "--mount", sys.executable, "-m", "pytest", "-q", "--basetemp", str(tmp_path / "inner")]
    argv += [f"{__file__}::test_inside_{name}", "-p", "no:cacheprovider"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        argv,
        cwd=root,
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


class SmallDisk:
    """A tmpfs of its own."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)], check=True)
        self.path = path
        self._filler = path / "filler"

    def fill(self, *, leave: int) -> None:
        """Take or give back space until so many bytes are left, without a moment in which there is more."""
        with self._filler.open("ab") as file:
            while (free := self._free_bytes() - leave) > 0:
                # Others use the disk meanwhile: what is free by now may be gone a moment later.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
            if free < 0:
                os.ftruncate(file.fileno(), max(os.fstat(file.fileno()).st_size + free, 0))

    def _free_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_bsize

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if INSIDE not in os.environ:
        pytest.skip("runs on a small disk only")
    made = SmallDisk(tmp_path / "disk")
    yield made
    subprocess.run(["umount", "--lazy", str(made.path)], check=True)


@pytest.fixture
def platform(disk: SmallDisk, tmp_path: Path) -> Iterator[LivePlatform]:
    with LivePlatform(disk.path) as made:
        made.log = tmp_path / "up.log"  # what it says must not be lost
        made.write_lab()
        made.start()
        made.push()
        for service in SERVICES:
            made.await_healthy("dev", service, made.head())
        yield made


def pods_of(platform: LivePlatform) -> set[str]:
    return set(platform.kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}").out.split())


def test_inside_a_push_is_refused_or_kept_and_built_when_there_is_space_again(
    platform: LivePlatform, disk: SmallDisk
) -> None:
    first, pods = platform.head(), pods_of(platform)
    big = platform.commit({"photo": os.urandom(4_000_000), source_of("clock"): program("two")}, "Add a photo")

    disk.fill(leave=300_000)
    refused = platform.run("git", "push", "-q", "towpath", "main", expect=1)
    assert "No space left" in refused.err or "no space left" in refused.err, refused.err
    assert platform.hosted_head() == first
    assert pods_of(platform) == pods, "what runs keeps running"
    assert platform.document("status")["head"]["commit"] == first

    disk.fill(leave=4_600_000)  # enough for Git, too little for the image's layers beside it
    pushed = platform.run("git", "push", "-q", "towpath", "main", expect=None)
    if pushed.code == 0:
        assert platform.hosted_head() == big
        disk.fill(leave=0)
    else:
        assert platform.hosted_head() == first
        disk.free()
        platform.push()
    disk.free()
    platform.await_healthy("dev", "clock", big)
    assert f"sha-{big[:7]}" in platform.tags("sets")
    await_intact(platform)

    disk.fill(leave=200_000)
    third = platform.commit({source_of("lamp"): program("three" + "x" * 50_000)}, "A longer lamp")
    if platform.run("git", "push", "-q", "towpath", "main", expect=None).code == 0:

        def is_explained_or_built() -> bool:
            findings = platform.api("/explain")["findings"]
            explained = any("space" in one["reason"].lower() for one in findings)
            return explained or f"sha-{third[:7]}" in platform.tags("sets")

        disk.fill(leave=0)
        platform.await_(
            "the want of space to be explained", is_explained_or_built, show=lambda: platform.api("/explain")
        )
    disk.free()
    platform.run("git", "push", "-q", "towpath", "main")
    platform.await_healthy("dev", "lamp", third)


def test_inside_a_start_without_space_says_so_or_serves_and_loses_nothing(
    platform: LivePlatform, disk: SmallDisk
) -> None:
    first = platform.head()
    promoted = platform.document("promote", *SERVICES, "--to", "prod")["commit"]
    for service in SERVICES:
        platform.await_healthy("prod", service, first)
    credentials = json.loads((platform.state / "credentials.json").read_text())
    for leave in (0, 64_000, 1_000_000):
        disk.fill(leave=leave)
        platform.kill()
        platform.await_no_process()
        before = len(platform.log.read_text())
        platform.launch()
        platform.await_("an end or a start", lambda: platform.is_up() or platform.has_ended())
        said = platform.log.read_text()[before:]
        assert "Traceback" not in said, said
        if platform.has_ended():
            assert platform.exit_code() in {1, 6, 7}
            assert "space" in said.lower(), said
            platform.await_no_process()
        else:
            assert platform.hosted_head() == promoted
            platform.kill()
            platform.await_no_process()
        disk.free()
        platform.start()
        assert json.loads((platform.state / "credentials.json").read_text()) == credentials
        for environment in ("dev", "prod"):
            for service in SERVICES:
                platform.await_healthy(environment, service, first)
