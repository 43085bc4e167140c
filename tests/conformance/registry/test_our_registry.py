"""The suite on Towpath's registry: nothing fails, nothing is skipped. `record_property` feeds docs/conformance.md."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.registry.data_sets import BLOBS, NONE
from conformance.registry.facets import Version, facets_of
from conformance.registry.report import format_summary
from conformance.registry.results import Outcome, Results
from conformance.registry.suite import run_suite
from conformance.registry.wire import Target
from fakes.registry import serve_registry
from fakes.registry_process import TESTS, run_registry
from fakes.standalone_registry import serve_alone
from towpath.aio.clock import SystemClock
from towpath.http.certificates import ensure_certificates
from towpath.http.server import Listener


@pytest.mark.parametrize("version", list(Version))
def test_our_registry_conforms(
    tmp_path: Path, version: Version, record_property: Callable[[str, object], None]
) -> None:
    with run_registry(tmp_path / "registry") as registry:
        target = Target(f"http://{registry.host}", "admin", "admin-secret")
        results = run_suite(target, version, seed="towpath", name="Towpath")
    record_property("registry", json.dumps(results.to_json()))
    counts = results.totals()
    assert (counts[Outcome.FAIL], counts[Outcome.ERROR], counts[Outcome.SKIP]) == (0, 0, 0), format_summary(results)
    assert counts[Outcome.PASS] > 800
    assert all(results.find_facet(facet) for facet in facets_of(version))


async def test_a_registry_over_tls_is_examined_with_its_certificate(tmp_path: Path) -> None:
    now = SystemClock().now()
    files = ensure_certificates(tmp_path / "served", names=["127.0.0.1"], now=now, authority=tmp_path / "ca")
    async with serve_registry(tmp_path / "registry") as server:
        listener = Listener(server.app, certificate=files.certificate, key=files.key)
        await listener.start()
        target = Target(listener.url, "admin", "admin-secret", str(tmp_path / "ca" / "ca.crt"))
        results = await asyncio.to_thread(run_suite, target, Version.DEV, seed="towpath", only=("image",))
        await listener.close()
    assert results.totals()[Outcome.PASS] == len(results.checks) > 0, format_summary(results)


def test_a_registry_on_its_own_is_the_same_for_a_robot(tmp_path: Path) -> None:
    only = (NONE, *BLOBS.values(), "artifacts with subject", "tag parameters")
    with serve_alone(tmp_path / "registry") as registry:
        secret = registry.robot(
            "create", "suite", "--repository", "conformance/*", "--allow", "push", "--allow", "delete", "-o", "json"
        )
        target = Target(registry.url, "suite", json.loads(secret)["secret"])
        results = run_suite(target, Version.DEV, seed="towpath", only=only)
    assert results.totals()[Outcome.PASS] == len(results.checks) > 0, format_summary(results)


def test_the_suite_is_a_program_of_its_own(tmp_path: Path) -> None:
    found = tmp_path / "results.json"
    with run_registry(tmp_path / "registry") as registry:
        argv = [sys.executable, "-m", "conformance.registry", "--url", f"http://{registry.host}", "--user", "admin"]
        argv += ["--only", "image", "--json", str(found)]
        right = tmp_path / "password"
        right.write_text("admin-secret\n")
        own = {name: value for name, value in os.environ.items() if name != "REGISTRY_PASSWORD"}
        done = [
            subprocess.run([*argv, *more], cwd=TESTS, env=environment, capture_output=True, text=True, check=False)
            for more, environment in (
                (["--password-file", str(right)], own),
                ([], {**own, "REGISTRY_PASSWORD": "wrong"}),
                ([], own),
                (["--password-file", str(tmp_path / "none")], own),
            )
        ]
    assert [one.returncode for one in done] == [0, 1, 2, 2], done[0].stdout + done[0].stderr
    assert "--user admin has no password" in done[2].stderr
    assert "cannot be read" in done[3].stderr
    assert "0 fail, 0 error" in done[0].stdout
    assert "status 401" in done[1].stdout or "401 Unauthorized" in done[1].stdout
    assert Results.from_json(json.loads(found.read_text())).problems(Outcome.PASS) == []
