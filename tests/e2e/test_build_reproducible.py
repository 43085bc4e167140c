"""The same commit gives the same images, whoever builds it, where, when and under which settings."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.wheels import write_lock, write_wheel
from fakes.worktree import Worktree

# Sets among a module's constants come out in the order of the hash seed, unless the compiler's is fixed.
GREETING = "WORDS = {'a', 'b', 'c', 'd'}\n\n\ndef main():\n    return 'x' in {'x', 'y', 'z', 'w'}\n"
# The same repository as another clone may name it.
SPELLED = "ssh://git@GIT.example:2222/lab/"
BUILD = "import os, sys; os.umask(int(sys.argv[1], 8)); from towpath.cli.main import run; run(sys.argv[2:])"


@pytest.fixture
def upstream(tmp_path: Path) -> Worktree:
    """A repository of every kind of service that this machine alone can build."""
    upstream = Worktree(tmp_path / "upstream")
    files: dict[str, str | bytes] = {f"services/sensor/pkg/mod{n}.py": f"VALUE = {n}\n" for n in range(40)}
    files |= {
        "towpath.yaml": "name: lab\nregistry: r.example/lab\n",
        "services/sensor/main.py": "import greet\nprint(greet.main())\n",
        "services/sensor/data/é ü.txt": "accents\n",
        "services/site/index.html": "<h1>site</h1>\n",
    }
    upstream.write(files)
    sensor = upstream.path / "services" / "sensor"
    scripts = {"greet": "greet:main"}
    write_lock(
        sensor, {"greet==1.0": [write_wheel(sensor / "wheels", "greet", files={"greet.py": GREETING}, scripts=scripts)]}
    )
    (sensor / "run.sh").write_text("#!/bin/sh\n")
    (sensor / "run.sh").chmod(0o755)
    upstream.commit()
    return upstream


def copy_tree(
    upstream: Worktree, target: Path, *, seed: int, umask: int, remote: str = "https://git.example/lab.git"
) -> Path:
    """A clone whose files were written in another order, at other times, under another umask."""
    before = os.umask(umask)
    try:
        clone = Worktree(target, remote)
        clone.git("fetch", "--quiet", str(upstream.path), "main")
        names = clone.git("ls-tree", "-r", "--name-only", "-z", "FETCH_HEAD").split("\0")[:-1]
        random.Random(seed).shuffle(names)  # noqa: S311 - any order will do
        clone.git("reset", "--quiet", "FETCH_HEAD")
        for name in names:
            clone.git("checkout", "FETCH_HEAD", "--", name)
            os.utime(target / name, (seed * 1000, seed * 1000))
    finally:
        os.umask(before)
    return target


def build(clone: Path, settings: Mapping[str, str], *, umask: str) -> list[dict[str, Any]]:
    """`towpath build`; configuration and digests of every image, from the layout it writes."""
    argv = [sys.executable, "-c", BUILD, umask, "build", "-C", str(clone), "--output", str(clone.parent / "out")]
    env = {"PATH": os.environ["PATH"], **settings}
    subprocess.run(argv, cwd=clone.parent, env=env, check=True, capture_output=True)
    blobs = clone.parent / "out" / "blobs" / "sha256"

    def read(descriptor: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((blobs / descriptor["digest"].removeprefix("sha256:")).read_bytes())
        return document

    entries = json.loads((clone.parent / "out" / "index.json").read_bytes())["manifests"]
    return [{**entry, "config": read(read(entry)["config"])} for entry in entries]


def test_two_hosts_build_the_same_images(upstream: Worktree, tmp_path: Path) -> None:
    here = copy_tree(upstream, tmp_path / "a" / "lab", seed=1, umask=0o022)
    there = copy_tree(upstream, tmp_path / "b" / "c" / "d" / "e" / "elsewhere", seed=2_000, umask=0o077, remote=SPELLED)
    one = build(here, {"HOME": str(tmp_path / "a"), "TZ": "UTC", "LANG": "C", "PYTHONHASHSEED": "1"}, umask="022")
    other = build(
        there,
        {
            "HOME": str(tmp_path / "b"),
            "TZ": "Pacific/Kiritimati",
            "LANG": "tr_TR.UTF-8",
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "4242",
            "SOURCE_DATE_EPOCH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        umask="077",
    )

    assert [image["config"]["rootfs"] for image in one] == [image["config"]["rootfs"] for image in other]
    assert one == other
    assert [len(image["config"]["rootfs"]["diff_ids"]) for image in one] == [3, 3], "base, packages or server, own"
