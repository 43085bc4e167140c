"""What the bench of pulls beside a collection says."""

import asyncio
from pathlib import Path

from bench.registry_collection import GARBAGE, Pulls, Server, format_section, write_garbage


def test_the_slowest_request_is_compared_with_the_one_without_a_collection() -> None:
    alone, beside = Pulls([0.1, 0.2, 0.3], [0.0, 0.1], 5.0), Pulls([0.1, 0.2, 0.75], [0.0, 0.4], 6.0)
    section = format_section(alone, beside, {"manifests": 7, "damaged": 0})

    assert "| **slowest request** | 300 ms | 750 ms |" in section
    assert "| all pulls | 5.00 s | 6.00 s |" in section
    assert f"7 of {GARBAGE} images that nothing needs were removed meanwhile." in section
    assert "The slowest of 3 requests was 450 ms later for it." in section


def list_blobs(directory: Path) -> list[Path]:
    return [path for path in (directory / "registry" / "blobs").rglob("*") if path.is_file()]


def test_the_garbage_that_is_written_beforehand_is_what_a_registry_would_hold(tmp_path: Path) -> None:
    async def collect() -> dict[str, int]:
        server = Server(tmp_path / "registry", garbage=3)
        await server.registry.start()
        assert (await server.registry.scrub.run()).damages == ()
        collecting = asyncio.create_task(server.collect_for_ever())
        async with asyncio.timeout(60):
            while list_blobs(tmp_path):  # noqa: ASYNC110 - the collector tells nobody
                await asyncio.sleep(0.01)
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        report = await server.report()
        await server.registry.close()
        return report

    write_garbage(tmp_path / "registry", count=3)

    assert asyncio.run(collect()) == {"manifests": 3, "damaged": 0}
