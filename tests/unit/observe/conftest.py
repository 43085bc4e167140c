"""A platform to look at."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.observed import Observed


@pytest.fixture
async def observed(tmp_path: Path) -> AsyncIterator[Observed]:
    async with await Observed.open(tmp_path) as platform:
        yield platform
