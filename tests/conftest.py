"""Shared fixtures. Fakes of our ports live in `tests/fakes/`; nothing here patches our own modules."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.registry.document import format_registry
from contract.conformance import format_conformance
from contract.node_conformance import format_nodes
from fakes.foreign import not_run
from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import load_target

if TYPE_CHECKING:
    from kubernetes.node.running import Node

# The parts of docs/conformance.md, in this order: which tests report in it, and what writes it.
PARTS = {
    "registry": (("conformance/registry/",), format_registry),
    "kubernetes": (("contract/resource_client", "kubernetes/test_"), format_conformance),
    "node": (("contract/node/",), format_nodes),
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
    """`--conformance FILE` writes what the suites found into the document."""
    parser.addoption("--conformance", default="", help="write what the suites found into this document")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What differs on purpose must fail on the embedded cluster, in the way that is claimed: else it would be news."""
    for item in items:
        differs = item.get_closest_marker("differs")
        if differs is not None and not item.get_closest_marker("kubernetes"):
            raises = differs.kwargs["raises"]
            item.add_marker(pytest.mark.xfail(reason=differs.args[0], raises=raises, strict=True, run=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the parts of the conformance document whose suites were in this run."""
    path = config.getoption("--conformance")
    if not path:
        return
    from conformance.document import Result, replace_part

    results = [
        Result(report.nodeid, outcome, _reason(report), dict(getattr(report, "user_properties", ())))
        for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
        for report in terminalreporter.stats.get(outcome, [])
    ]
    document = Path(path)
    for name, (places, write) in PARTS.items():
        mine = [one for one in results if any(place in one.nodeid for place in places)]
        if mine:
            before = document.read_text() if document.exists() else ""
            document.write_text(replace_part(before, name, write(mine), order=PARTS))
            terminalreporter.write_line(f"{path}, {name}: {dict(Counter(one.outcome for one in mine))}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test differs on purpose, or was skipped."""
    told = report.longrepr
    skipped = told[2] if isinstance(told, tuple) else ""
    return str(getattr(report, "wasxfail", skipped))
