from pathlib import Path

import pytest

from fakes.worktree import Worktree
from towpath.source.repository import GitRepository


@pytest.fixture
async def repository(tmp_path: Path) -> GitRepository:
    """An empty bare repository."""
    made = GitRepository(tmp_path / "bare.git")
    await made.init()
    return made


@pytest.fixture
def worktree(tmp_path: Path, repository: GitRepository) -> Worktree:
    """A clone whose origin is that repository, by path."""
    return Worktree(tmp_path / "work", str(repository.path))
