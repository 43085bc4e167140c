"""Shared fixtures. Fakes of our ports live in `tests/fakes/`; nothing here patches our own modules."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import load_target


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A real Kubernetes: the user's, if KUBECONFIG names one, else a control plane of our own for this session."""
    from kubernetes.build import NotBuildableError
    from kubernetes.control_plane import running_control_plane

    if os.environ.get("KUBECONFIG"):
        yield load_target(environ=os.environ)
        return
    try:
        with running_control_plane(tmp_path_factory.mktemp("kubernetes")) as plane:
            yield load_target(plane.kubeconfig, environ={})
    except NotBuildableError as error:
        pytest.skip(f"NOT RUN: needs a real Kubernetes: {error}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--conformance FILE` writes what the contract suite found on each cluster."""
    parser.addoption("--conformance", default="", help="write the results of the contract suite to this file")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What differs on purpose must fail on the embedded cluster: that it passes there would be news."""
    for item in items:
        differs = item.get_closest_marker("differs")
        if differs is not None and not item.get_closest_marker("kubernetes"):
            item.add_marker(pytest.mark.xfail(reason=differs.args[0], strict=True, run=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the conformance document from this run's results."""
    path = config.getoption("--conformance")
    if not path:
        return
    from contract.conformance import Result, format_conformance

    results = [
        Result(report.nodeid, outcome, getattr(report, "wasxfail", ""))
        for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
        for report in terminalreporter.stats.get(outcome, [])
        if "contract/resource_client" in report.nodeid or "kubernetes/test_" in report.nodeid
    ]
    Path(path).write_text(format_conformance(results))
    terminalreporter.write_line(f"{path}: {dict(Counter(result.outcome for result in results))}")
