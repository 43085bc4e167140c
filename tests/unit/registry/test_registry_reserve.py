"""The space that a registry keeps back."""

from pathlib import Path

from towpath.registry.storage.reserve import RESERVE_BYTES, Reserve


def test_it_takes_its_space_once_and_gives_it_back_once(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.refill()
    reserve.refill()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= RESERVE_BYTES, "the space is really taken"
    assert reserve.release()
    assert not reserve.release()
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_cut_short_is_filled_again(tmp_path: Path) -> None:
    (tmp_path / "reserve").write_bytes(b"short")
    Reserve(tmp_path).refill()

    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES


def test_a_directory_that_cannot_be_written_has_none_and_is_no_failure(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "missing")
    reserve.refill()

    assert not reserve.release()
