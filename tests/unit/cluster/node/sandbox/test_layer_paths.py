from pathlib import Path

import pytest

from towpath.cluster.node.sandbox.argv import Mount, Sandbox
from towpath.cluster.node.sandbox.launcher import SandboxError
from towpath.cluster.node.sandbox.layer_paths import resolve_path, settle_paths


def layers_of(tmp_path: Path, *layers: dict[str, str | None]) -> list[str]:
    """Layers, lowest first; a value is a link's target, None a directory, "" a file."""
    made = []
    for number, entries in enumerate(layers):
        root = tmp_path / f"layer{number}"
        root.mkdir()
        for name, target in entries.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if target is None:
                path.mkdir(exist_ok=True)
            elif target:
                path.symlink_to(target)
            else:
                path.touch()
        made.append(str(root))
    return made


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/plain/sub", "/plain/sub"),
        ("/absent/sub", "/absent/sub"),
        ("relative", "/relative"),
        ("/plain//./sub/..", "/plain"),
        ("/../../etc", "/etc"),
        ("/var/run/secrets", "/run/secrets"),  # an absolute link, as Debian's
        ("/lib/x", "/usr/lib/x"),  # a relative one
        ("/escape/file", "/oldroot/etc/file"),  # inside the root, whatever it is called
        ("/climb/file", "/oldroot/etc/file"),
        ("/chain", "/usr/lib"),
        ("/etc/hosts", "/run/hosts"),
        ("/file/below", "/file/below"),
    ],
)
def test_links_are_followed_inside_the_root(tmp_path: Path, path: str, leads_to: str) -> None:
    layers = layers_of(
        tmp_path,
        {
            "plain": None,
            "file": "",
            "var/run": "/run",
            "lib": "usr/lib",
            "usr/lib": None,
            "escape": "/oldroot/etc",
            "climb": "../../../oldroot/etc",
            "chain": "var/up",
            "var/up": "../lib",
            "etc/hosts": "../run/hosts",
        },
    )
    assert resolve_path(layers, path) == leads_to


def test_the_topmost_layer_decides(tmp_path: Path) -> None:
    layers = layers_of(
        tmp_path,
        {"a": "/below", "b": None, "c/inner": "/deep", "d/inner": "/deep", "e": "/below"},
        {"a": None, "b": "/above", "c": None, "d": "", "e/inner": "/top"},
    )
    assert resolve_path(layers, "/a") == "/a"  # a directory over a link
    assert resolve_path(layers, "/b") == "/above"  # a link over a directory
    assert resolve_path(layers, "/c/inner") == "/deep"  # directories are merged
    assert resolve_path(layers, "/d/inner") == "/d/inner"  # a file hides the directory below it
    assert resolve_path(layers, "/e/inner") == "/top"


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="LinkLoop"):
        resolve_path(layers_of(tmp_path, {"a": "b", "b": "a"}), "/a/x")


def test_nothing_of_the_image_counts_below_proc_and_dev(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, {"dev/shm": "/oldroot/x", "proc/x": "/oldroot/y"})
    assert resolve_path(layers, "/dev/../dev/shm/part") == "/dev/shm/part"  # noqa: S108 - the pod's
    assert resolve_path(layers, "/proc/x") == "/proc/x"


@pytest.mark.parametrize("name", ["proc", "dev"])
def test_an_image_whose_proc_or_dev_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    sandbox = Sandbox(layers=layers_of(tmp_path, {name: "/oldroot/srv"}), command=["x"])
    with pytest.raises(SandboxError, match=rf"LinkedRoot\): its /{name} is a link"):
        settle_paths(sandbox)


@pytest.mark.parametrize(
    "destination",
    ["/", "/dev", "/proc", "/proc/self/root/oldroot/srv", "/link", "/dev/fd/3", "/dev/stdout", "/dev/x/../fd"],
)
def test_a_mount_in_a_place_of_the_sandboxs_own_is_refused(tmp_path: Path, destination: str) -> None:
    sandbox = Sandbox(
        layers=layers_of(tmp_path, {"link": "/proc/self"}), command=["x"], mounts=[Mount("/h", destination)]
    )
    with pytest.raises(SandboxError, match="MountPoint"):
        settle_paths(sandbox)


def test_mounts_directory_and_tmp_are_settled(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, {"data": "/oldroot/srv", "work": "data/w", "tmp": "var/tmp"})
    mounts = [Mount("/h1", "/data/x", inner="part"), Mount("/h2", "/dev/termination-log", read_only=True)]
    settled = settle_paths(Sandbox(layers=layers, command=["x"], mounts=mounts, directory="/work"))
    assert settled.mounts == [
        Mount("/h1", "/oldroot/srv/x", inner="part"),
        Mount("/h2", "/dev/termination-log", read_only=True),
    ]
    assert settled.directory == "/oldroot/srv/w"
    assert settled.temporary == "/var/tmp"  # noqa: S108 - the pod's
