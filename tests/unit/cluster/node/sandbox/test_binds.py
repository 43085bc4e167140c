"""Mounts put together by a real broker, in a mount namespace that ends with its process."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import pytest

from towpath.cluster.node.sandbox.launcher import Launcher, Spawn
from towpath.cluster.node.sandbox.staging import Step


class Workshop:
    """A volume that containers write to, a second one, and the directory where they are put together."""

    def __init__(self, launcher: Launcher, directory: Path) -> None:
        self.launcher = launcher
        self.host, self.outer, self.inner, self.stage = (directory / name for name in ("host", "outer", "inner", "st"))
        for path in (self.host, self.outer, self.inner, self.stage):
            path.mkdir()
        (self.inner / "file").write_text("inner")

    def steps(self, below: str = "sub", *, read_only: bool = False, make: bool = True) -> list[Step]:
        target = str(self.stage)
        return [
            Step(source=str(self.outer), target=target, below="0", shown="/data"),
            Step(
                source=str(self.inner),
                target=target,
                below=f"0/{below}",
                shown=f"/data/{below}",
                read_only=read_only,
                make=make,
            ),
        ]

    async def run(self, script: str, steps: list[Step]) -> tuple[int, str]:
        output, end = os.pipe2(os.O_CLOEXEC)
        try:
            request = Spawn(
                argv=["/bin/sh", "-c", script],
                stdout=end,
                stderr=end,
                env={"PATH": os.defpath, "STAGE": str(self.stage)},
                stage=[asdict(step) for step in steps],
            )
            child = await self.launcher.spawn(request)
        finally:
            os.close(end)
        try:
            return await asyncio.wait_for(child.wait(), 30), os.read(output, 65536).decode()
        finally:
            os.close(output)


@pytest.fixture
async def workshop(tmp_path: Path) -> AsyncIterator[Workshop]:
    launcher = Launcher()
    await launcher.start()
    yield Workshop(launcher, tmp_path)
    await launcher.close()


async def test_a_volume_shows_inside_another_and_only_there(workshop: Workshop) -> None:
    code, said = await workshop.run("cat $STAGE/0/sub/file; echo new > $STAGE/0/sub/new", workshop.steps())
    assert (code, said) == (0, "inner")
    assert (workshop.inner / "new").exists()
    assert list((workshop.outer / "sub").iterdir()) == []  # the mount point alone
    assert list((workshop.stage / "0").iterdir()) == []


async def test_read_only_holds_for_its_own_mount_alone(workshop: Workshop) -> None:
    code, said = await workshop.run(
        "echo x > $STAGE/0/made && echo x > $STAGE/0/sub/no", workshop.steps(read_only=True)
    )
    assert code != 0
    assert "Read-only file system" in said
    assert (workshop.outer / "made").exists()
    assert not (workshop.inner / "no").exists()


async def test_a_file_is_mounted_on_a_file(workshop: Workshop) -> None:
    steps = workshop.steps()
    steps[1] = Step(source=str(workshop.inner / "file"), target=str(workshop.stage), below="0/log", shown="/data/log")
    assert await workshop.run("echo more >> $STAGE/0/log; cat $STAGE/0/log", steps) == (0, "innermore\n")


async def test_a_part_of_a_volume_is_mounted(workshop: Workshop) -> None:
    (workshop.inner / "a" / "b").mkdir(parents=True)
    step = Step(source=str(workshop.inner), inner="a/b", target=str(workshop.stage), below="0", shown="/data")
    assert (await workshop.run("touch $STAGE/0/made", [step]))[0] == 0
    assert (workshop.inner / "a" / "b" / "made").exists()


@pytest.mark.parametrize("below", ["link", "link/deeper"])
async def test_a_link_that_a_container_planted_on_the_way_is_refused(workshop: Workshop, below: str) -> None:
    (workshop.outer / "link").symlink_to(workshop.host / "made" if below == "link" else workshop.host)
    code, said = await workshop.run("echo ran", workshop.steps(below))
    assert code == 127
    assert said == f"sh: mount at /data/{below} is refused: a link or a file of a volume is in the way (LinkInVolume)\n"
    assert list(workshop.host.iterdir()) == []


async def test_a_link_that_took_the_place_of_a_part_is_refused(workshop: Workshop) -> None:
    (workshop.host / "secret").write_text("secret")
    (workshop.inner / "part").symlink_to(workshop.host)
    step = Step(source=str(workshop.inner), inner="part", target=str(workshop.stage), below="0", shown="/data")
    code, said = await workshop.run("cat $STAGE/0/secret", [step])
    assert code == 127
    assert "LinkInVolume" in said


async def test_a_mount_point_that_may_not_be_made_is_missed_with_its_name(workshop: Workshop) -> None:
    code, said = await workshop.run("echo ran", workshop.steps(make=False))
    assert (code, said) == (127, "sh: mount at /data/sub failed: No such file or directory\n")
    assert list(workshop.outer.iterdir()) == []


async def test_a_directory_is_made_if_that_is_possible(workshop: Workshop) -> None:
    made = Step(target=str(workshop.outer), below="/a/b", shown="/data/a/b")
    (workshop.outer / "link").symlink_to(workshop.host)
    astray = Step(target=str(workshop.outer), below="/link/b", shown="/data/link/b")
    assert (await workshop.run("true", [made, astray]))[0] == 0
    assert (workshop.outer / "a" / "b").is_dir()
    assert list(workshop.host.iterdir()) == []
