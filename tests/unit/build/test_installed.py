"""An installed tree as a layer: what an installer wrote about itself is gone, and scripts start the image's Python."""

from pathlib import Path

import pytest

from towpath.build.installed import Installed, read_installed

PYTHON = "/usr/local/bin/python3.12"


def read(tmp_path: Path, files: dict[str, str]) -> tuple[Installed, dict[str, bytes]]:
    tree = tmp_path / "tree"
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    installed = read_installed(tree, python=PYTHON, compiler=None, staging=tmp_path)
    contents = {
        entry.path.removeprefix("opt/dependencies/"): entry.source.read_bytes() if entry.source else entry.content
        for entry in installed.entries
    }
    return installed, contents


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("#!/build/venv/bin/python3\nimport x\n", f"#!{PYTHON}\nimport x\n"),
        ("#!python\nimport x\n", f"#!{PYTHON}\nimport x\n"),
        ("#!/bin/sh\n'''exec' '/a long path/python' \"$0\" \"$@\"\n' '''\nimport x\n", f"#!{PYTHON}\nimport x\n"),
        ("#!/bin/sh\necho shell\n", "#!/bin/sh\necho shell\n"),
        ("no script at all", "no script at all"),
    ],
)
def test_scripts_of_python_start_the_images_python(tmp_path: Path, script: str, expected: str) -> None:
    installed, contents = read(tmp_path, {"bin/tool": script})

    assert contents["bin/tool"].decode() == expected
    assert installed.scripts == {"tool"}
    assert installed.entries[0].mode == 0o755


def test_the_record_lists_what_is_left_in_one_order(tmp_path: Path) -> None:
    record = (
        "x-1.dist-info/RECORD,,\nx-1.dist-info/INSTALLER,sha256=a,2\nx.py,sha256=b,3\n__pycache__/x.pyc,,\n"
        '../../bin/tool,sha256=c,4\n"a,b.py",sha256=d,5\n'
    )
    _, contents = read(tmp_path, {"x-1.dist-info/RECORD": record, "x.py": "x=1", "x-1.dist-info/INSTALLER": "uv"})

    assert contents["x-1.dist-info/RECORD"].decode() == (
        '"a,b.py",sha256=d,5\nbin/tool,,\nx-1.dist-info/RECORD,,\nx.py,sha256=b,3\n'
    )


def test_what_tells_of_the_installer_and_its_machine_is_gone(tmp_path: Path) -> None:
    gone = ["INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"]
    files = {f"x-1.dist-info/{name}": "here" for name in gone} | {".lock": "", "__pycache__/x.pyc": "", "x.py": ""}
    _, contents = read(tmp_path, files | {"data/INSTALLER": "the package's own file"})

    assert sorted(contents) == ["data/INSTALLER", "x.py"]


def test_packages_are_read_from_their_headers_alone(tmp_path: Path) -> None:
    metadata = "Metadata-Version: 2.1\nName: x\nVersion: 1.0\n\nName: a quotation\nVersion: 9\n"
    installed, _ = read(tmp_path, {"x-1.0.dist-info/METADATA": metadata})

    assert [(package.name, package.version) for package in installed.packages] == [("x", "1.0")]


def test_an_empty_tree_is_an_empty_layer(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()

    assert read(tmp_path, {})[0] == Installed((), (), frozenset())
