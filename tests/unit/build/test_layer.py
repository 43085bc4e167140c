"""A layer is the same bytes wherever its content is the same, and whole or absent."""

import gzip
import hashlib
import io
import os
import random
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from towpath.build.cache import Layer
from towpath.build.context import ContextError, read_context
from towpath.build.entries import directory, made_file, plan_layer
from towpath.build.layer import write_layer


def write_service(root: Path, *, order: int, umask: int, mtime: int) -> Path:
    files = {f"pkg/sub{index % 3}/mod{index}.py": f"VALUE = {index}\n" * index for index in range(30)}
    files |= {"main.py": "import pkg\n", "data/é.txt": "accent\n"}
    names = sorted(files)
    random.Random(order).shuffle(names)  # noqa: S311 - any order will do
    before = os.umask(umask)
    try:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(files[name], encoding="utf-8")
            os.utime(root / name, (mtime, mtime))
    finally:
        os.umask(before)
    return root


def build(service: Path, blobs: Path, *, portable: bool = False) -> Layer:
    blobs.mkdir(exist_ok=True)
    entries = [replace(entry, path=f"app/{entry.path}") for entry in read_context(service).entries]
    return write_layer(entries, blobs, portable=portable)


def members(blob: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(blob) as archive:
        return archive.getmembers()


def test_umask_time_and_the_order_of_writing_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = write_service(tmp_path / "one", order=1, umask=0o022, mtime=1_000)
    two = write_service(tmp_path / "two", order=2, umask=0o077, mtime=2_000_000_000)

    assert build(one, tmp_path / "a") == build(two, tmp_path / "b")


def test_the_locale_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    service = write_service(tmp_path / "one", order=1, umask=0o022, mtime=1_000)
    before = build(service, tmp_path / "a")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")

    assert build(service, tmp_path / "a") == before


def test_the_diff_id_is_of_the_tar_and_the_digest_of_the_file(tmp_path: Path) -> None:
    layer = write_layer([made_file("app/main.py", b"x = 1\n")], tmp_path)
    content = (tmp_path / layer.digest.hex).read_bytes()

    assert layer.digest.hex == hashlib.sha256(content).hexdigest()
    assert layer.size == len(content)
    assert layer.diff_id.hex == hashlib.sha256(gzip.decompress(content)).hexdigest()


def test_both_compressors_give_the_same_diff_id(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    service = write_service(tmp_path / "one", order=1, umask=0o022, mtime=1_000)
    fast, portable = build(service, tmp_path / "a"), build(service, tmp_path / "b", portable=True)

    assert fast.diff_id == portable.diff_id
    assert gzip.decompress((tmp_path / "a" / fast.digest.hex).read_bytes()) == gzip.decompress(
        (tmp_path / "b" / portable.digest.hex).read_bytes()
    )


def test_every_parent_stands_before_its_content(tmp_path: Path) -> None:
    layer = write_layer([made_file("a/b/c.py", b""), made_file("a-b/d.py", b"")], tmp_path)

    assert [member.name for member in members(tmp_path / layer.digest.hex)] == [
        "a",
        "a/b",
        "a/b/c.py",
        "a-b",
        "a-b/d.py",
    ]


def test_a_directory_given_with_a_mode_is_not_overruled_by_its_children() -> None:
    planned = plan_layer([made_file("tmp/x", b""), directory("tmp", 0o1777)])

    assert [(entry.path, entry.mode) for entry in planned] == [("tmp", 0o1777), ("tmp/x", 0o644)]


def test_a_large_file_passes_through_in_pieces(tmp_path: Path) -> None:
    service = tmp_path / "service"
    service.mkdir()
    content = os.urandom(5 << 20)
    (service / "model.bin").write_bytes(content)
    layer = build(service, tmp_path / "blobs")

    with tarfile.open(fileobj=io.BytesIO((tmp_path / "blobs" / layer.digest.hex).read_bytes())) as archive:
        stored = archive.extractfile("app/model.bin")
        assert stored is not None
        assert stored.read() == content


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    service = tmp_path / "service"
    service.mkdir()
    (service / "a.py").write_text("1")
    (service / "b.py").write_text("2")
    entries = read_context(service).entries
    (service / "b.py").unlink()
    blobs = tmp_path / "blobs"
    blobs.mkdir()

    with pytest.raises(ContextError):
        write_layer(entries, blobs)

    assert list(blobs.iterdir()) == []
