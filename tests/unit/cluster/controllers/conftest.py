"""The little cluster that the controllers' scenarios play in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.workloads import Workloads


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Workloads]:
    workloads = await Workloads.open(tmp_path / "cluster")
    yield workloads
    await workloads.close()
