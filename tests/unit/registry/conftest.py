"""The fixture of this folder: a registry that is asked over ASGI."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, open_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "registry", VirtualClock()) as opened:
        yield opened
