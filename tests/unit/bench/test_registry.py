"""The registry bench: its client against a real registry, and its table."""

import asyncio
from pathlib import Path

import pytest
from bench.registry import GOALS, MEMORY, OURS, THEIRS, format_samples
from bench.registry_client import Payload, RawClient, UnexpectedAnswerError

from fakes.platform import basic
from fakes.registry import password, serve_registry


async def test_what_the_raw_client_pushes_it_pulls_whole(tmp_path: Path) -> None:
    payload = Payload.of((b"one" * 1000, b"two"), name="x")
    async with serve_registry(tmp_path) as server:

        def work() -> None:
            client = RawClient(server.host, {"bench/x": basic("admin", password("admin"))})
            client.push("bench/x", payload)
            client.pull("bench/x", payload)
            client.close()

        await asyncio.to_thread(work)
        assert server.registry.manifests.get("bench/x", "latest").content == payload.manifest


async def test_a_refusal_ends_the_bench_and_is_no_fast_result(tmp_path: Path) -> None:
    async with serve_registry(tmp_path) as server:

        def work() -> None:
            client = RawClient(server.host, {"bench/x": basic("stranger", password("stranger"))})
            try:
                with pytest.raises(UnexpectedAnswerError, match="expected 202"):
                    client.push("bench/x", Payload.of((b"one",), name="x"))
            finally:
                client.close()

        await asyncio.to_thread(work)


def test_the_table_has_both_figures_and_their_ratio() -> None:
    samples = {name: {OURS: [0.1, 0.2, 0.3], THEIRS: [0.4, 0.4, 0.9]} for name in GOALS}
    samples[MEMORY] = {OURS: [2**20], THEIRS: [2**21]}
    table = format_samples(samples)
    assert "| push 60 MB in 3 layers | 200 ms | 400 ms | 0.50 x | 0.5 x |" in table
    assert f"| {MEMORY} | 1.0 MiB | 2.0 MiB | 0.50 x | 45 MiB |" in table


def test_without_the_other_registry_its_columns_stay_empty() -> None:
    table = format_samples({name: {OURS: [0.1]} for name in GOALS})
    assert "| start to first answer | 100 ms |  |  | 150 ms |" in table
