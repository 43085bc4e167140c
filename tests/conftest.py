"""Shared fixtures. Fakes of our ports live in `tests/fakes/`; nothing here patches our own modules."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.document import Part, Result, format_differences, replace_part
from conformance.registry.document import find_examined, format_registry
from contract.conformance import format_conformance
from contract.node_conformance import format_nodes
from fakes.foreign import not_run
from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import load_target

if TYPE_CHECKING:
    from kubernetes.node.running import Node

# The parts of docs/conformance.md, in this order.
PARTS = {
    "registry": Part(("conformance/registry/",), format_registry, "make conformance-registry", find_examined),
    "kubernetes": Part(("contract/resource_client", "kubernetes/test_"), format_conformance, "make conformance"),
    "node": Part(("contract/node/",), format_nodes, "make conformance"),
}


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
        not_run(f"needs a real Kubernetes: {error}")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Node]":
    """A real node that is Ready, in a control plane of its own with all controllers: pods really run.

    `node.plane.kubeconfig` is the administrator's; `node.plane.write_kubeconfig` makes others. Images are pulled from
    any registry on this machine's loopback under the address that a reference names (`127.0.0.1:5000/lab/app:v1`),
    over plain HTTP; `node.trust(host, url)` leads another name there. Pods have addresses that this machine reaches;
    there is no kube-proxy and no DNS, so nothing answers at a Service's name or cluster IP: use `kubectl port-forward`,
    or the pods' addresses. `kubectl logs` and `exec` work. `node.log("kubelet")` says what went wrong.
    """
    from kubernetes.control_plane import running_control_plane
    from kubernetes.node.confinement import NodeNotRunnableError, require_runnable
    from kubernetes.node.running import running_node

    try:
        require_runnable()
    except NodeNotRunnableError as error:
        not_run(f"needs a node of its own: {error}")
    require_built()
    with (
        running_control_plane(tmp_path_factory.mktemp("node-plane")) as plane,
        running_node(plane, tmp_path_factory.mktemp("node")) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def control_plane_binary() -> Path:
    """The binary with all components."""
    return require_built()


def require_built() -> Path:
    """The binary with all components, built if need be and if nobody minds; else the tests are reported as not run."""
    from kubernetes.build import NotBuildableError, ensure_built, find_built

    if os.environ.get("KUBECONFIG") and find_built() is None:
        # Who brings a cluster is not made to compile another one, unasked.
        not_run("needs a control plane of its own, beside your cluster: `make kubernetes` builds it")
    try:
        return ensure_built()
    except NotBuildableError as error:
        not_run(f"needs a control plane of its own: {error}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--conformance FILE` writes what the suites found into the document; `--check-conformance FILE` compares it."""
    parser.addoption("--conformance", default="", help="write what the suites found into this document")
    parser.addoption("--check-conformance", default="", help="fail where this document is not what the suites found")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What differs on purpose must fail on the embedded cluster, in the way that is claimed: else it would be news."""
    for item in items:
        differs = item.get_closest_marker("differs")
        if differs is not None and not item.get_closest_marker("kubernetes"):
            raises = differs.kwargs["raises"]
            item.add_marker(pytest.mark.xfail(reason=differs.args[0], raises=raises, strict=True, run=True))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the parts of the conformance document whose suites were in this run, or compare them with it."""
    terminal: pytest.TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    written, checked = (session.config.getoption(name) for name in ("--conformance", "--check-conformance"))
    if terminal is None or not (written or checked):
        return
    path = Path(written or checked)
    for name, mine in _reported(terminal).items():
        text = PARTS[name].write(mine)
        document = path.read_text() if path.exists() else ""
        if written:
            path.write_text(replace_part(document, name, text, order=PARTS))
        elif differences := format_differences(document, name, PARTS[name], text):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            terminal.write_line("")
            terminal.write_line("\n".join(f"{path}: {line}" for line in differences), red=True)
        terminal.write_line(f"\n{path}, {name}: {dict(Counter(one.outcome for one in mine))}")


def _reported(terminal: pytest.TerminalReporter) -> dict[str, list[Result]]:
    """What was found for each part that any test of this run belongs to."""
    results = [
        Result(report.nodeid, outcome, _reason(report), dict(getattr(report, "user_properties", ())))
        for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
        for report in terminal.stats.get(outcome, [])
    ]
    found = {
        name: [one for one in results if any(place in one.nodeid for place in part.places)]
        for name, part in PARTS.items()
    }
    return {name: mine for name, mine in found.items() if mine}


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test differs on purpose, or was skipped."""
    told = report.longrepr
    skipped = told[2] if isinstance(told, tuple) else ""
    return str(getattr(report, "wasxfail", skipped))
