from pathlib import Path

import pytest

from towpath.cluster.node.sandbox.argv import Mount, Sandbox
from towpath.cluster.node.sandbox.launcher import SandboxError
from towpath.cluster.node.sandbox.plain import link_mounts, prepare_plain

IMAGE = {"/r/usr/bin/python", "/r/app/main.py", "/r/app", "/r/usr/bin", "/r/data"}


def prepare(command: list[str], **env: str) -> Sandbox:
    sandbox = Sandbox(layers=["/r"], command=command, env={"PATH": "/usr/bin:/bin", **env}, directory="/app")
    return prepare_plain(sandbox, exists=IMAGE.__contains__)


def test_paths_of_the_image_are_pointed_into_its_root_and_others_stay() -> None:
    plan = prepare(["python", "/app/main.py", "/etc/hosts", "--data", "/data"], PYTHONPATH="/app:/opt", MODE="fast")
    assert plan.command == ["/r/usr/bin/python", "/r/app/main.py", "/etc/hosts", "--data", "/r/data"]
    assert plan.env["PYTHONPATH"] == "/r/app:/opt"
    assert plan.env["PATH"] == "/r/usr/bin:/bin"
    assert plan.env["MODE"] == "fast"
    assert plan.env["TOWPATH_ROOT"] == "/r"
    assert plan.directory == "/r/app"


def test_a_program_may_be_named_by_its_path() -> None:
    assert prepare(["/usr/bin/python"]).command == ["/r/usr/bin/python"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ruby", 'exec: "ruby": executable file not found in $PATH'),
        ("/bin/ruby", 'exec: "/bin/ruby": stat /bin/ruby: no such file or directory'),
    ],
)
def test_a_program_that_is_nowhere_is_refused(name: str, text: str) -> None:
    with pytest.raises(SandboxError) as caught:
        prepare([name])
    assert caught.value.message == text


def test_volumes_are_linked_over_what_the_image_has_there(tmp_path: Path) -> None:
    root, volume = tmp_path / "root", tmp_path / "volume"
    (root / "data" / "old").mkdir(parents=True)
    volume.mkdir()
    (volume / "new").touch()
    sandbox = Sandbox(
        layers=[str(root)], command=["x"], mounts=[Mount(str(volume), "/data"), Mount(str(volume), "/a/b")]
    )
    link_mounts(sandbox, root)
    assert [path.name for path in (root / "data").iterdir()] == ["new"]
    assert (root / "a" / "b" / "new").exists()


def test_a_volume_inside_another_leaves_the_outer_one_alone(tmp_path: Path) -> None:
    root, outer, inner = (tmp_path / name for name in ("root", "outer", "inner"))
    for directory in (root, outer, inner):
        directory.mkdir()
    (outer / "sub").mkdir()
    (outer / "sub" / "precious").touch()
    mounts = [Mount(str(inner), "/data/sub"), Mount(str(outer), "/data")]
    link_mounts(Sandbox(layers=[str(root)], command=["x"], mounts=mounts), root)
    assert (outer / "sub" / "precious").exists()
