"""A world for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.reconciling import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await World.open(tmp_path / "cluster")
    yield opened
    await opened.close()
