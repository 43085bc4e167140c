import asyncio
from pathlib import Path

import pytest

from towpath.errors import RemoteError
from towpath.reconcile.trees import TreeStore


class Exporter:
    """Writes one file; fails as often as told."""

    def __init__(self, *, failures: int = 0) -> None:
        self.calls = 0
        self._failures = failures

    async def export(self, commit: str, path: str, destination: Path) -> None:
        self.calls += 1
        destination.mkdir()
        (destination / "file").write_text(f"{commit} {path}")
        await asyncio.sleep(0)
        if self.calls <= self._failures:
            raise RemoteError("disk full")


async def test_a_tree_is_exported_once_for_all_who_ask(tmp_path: Path) -> None:
    exporter = Exporter()
    store = TreeStore(exporter, tmp_path / "trees")
    roots = await asyncio.gather(*(store.get("c1", "k3s", "t1") for _ in range(3)))
    assert exporter.calls == 1
    assert set(roots) == {store.path("t1")}
    assert (roots[0] / "k3s" / "file").read_text() == "c1 k3s"


async def test_an_export_that_fails_leaves_nothing_that_could_be_taken_for_a_tree(tmp_path: Path) -> None:
    store = TreeStore(Exporter(failures=1), tmp_path / "trees")
    with pytest.raises(RemoteError):
        await store.get("c1", "k3s", "t1")
    assert not store.path("t1").exists()
    assert (await store.get("c1", "k3s", "t1") / "k3s" / "file").exists()


async def test_an_export_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    store = TreeStore(Exporter(), tmp_path / "trees")
    half = tmp_path / "trees" / ".t1.partial" / "k3s"
    half.mkdir(parents=True)
    (half / "stale").write_text("half")
    root = await store.get("c1", "k3s", "t1")
    assert sorted(file.name for file in (root / "k3s").iterdir()) == ["file"]


async def test_only_the_newest_trees_are_kept(tmp_path: Path) -> None:
    store = TreeStore(Exporter(), tmp_path / "trees", kept=2)
    for tree in ("t1", "t2", "t3", "t4"):
        await store.get("c", "k3s", tree)
    assert store.path("t4").is_dir()
    assert len(list((tmp_path / "trees").iterdir())) == 2
