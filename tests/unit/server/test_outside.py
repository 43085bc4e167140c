"""An outside cluster, played by a scripted peer: what is asked of it, and what is said when it does not answer."""

from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from fakes.peer import Answer, Peer, serve_peer
from fakes.platform import free_ports
from towpath.aio.clock import SystemClock
from towpath.errors import UserError
from towpath.kubeclient.kubeconfig import Cluster, Target, User
from towpath.oci.platform import Platform
from towpath.server.outside import OutsideCluster, find_target
from towpath.server.settings import OutsideCluster as Choice

NODES = {"resources": [{"name": "nodes", "kind": "Node", "namespaced": False}]}


def node(name: str, address: str, architecture: str = "amd64") -> dict[str, Any]:
    status = {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]}
    return {"metadata": {"name": name}, "status": {**status, "nodeInfo": {"architecture": architecture}}}


def answers(*nodes: dict[str, Any]) -> dict[str, Answer | list[Answer]]:
    return {
        "GET /version": JSONResponse({"gitVersion": "v1.37.2+k3s1"}),
        "GET /api/v1": JSONResponse(NODES),
        "GET /api/v1/nodes": JSONResponse({"items": list(nodes), "metadata": {"resourceVersion": "7"}}),
    }


def cluster_at(server: str, *, plain_http: bool = False, in_pod: bool = False) -> OutsideCluster:
    target = Target("home", Cluster(server=server), User(token="t"))
    return OutsideCluster(
        target, in_pod=in_pod, built_for=Platform("linux", "amd64"), plain_http=plain_http, clock=SystemClock()
    )


async def examine(peer: Peer, registry: str, **options: Any) -> dict[str, tuple[str, str]]:
    cluster = cluster_at(f"http://{peer.host}", **options)
    await cluster.start(name="lab")
    checks = await cluster.examine(registry)
    await cluster.close()
    cluster.release()
    return {check.check: (check.state, check.evidence) for check in checks}


async def test_it_says_which_kubernetes_it_is_and_where() -> None:
    async with serve_peer(answers()) as peer:
        cluster = cluster_at(f"http://{peer.host}")
        assert "does not answer" in cluster.facts.summary
        await cluster.start(name="lab")
        assert cluster.facts.summary == f"Kubernetes v1.37.2+k3s1 at http://{peer.host}, context home"
        assert (cluster.facts.url, cluster.facts.is_ours) == (f"http://{peer.host}", False)
        await cluster.close()


async def test_a_cluster_that_does_not_answer_keeps_nobody_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    cluster = cluster_at(f"http://127.0.0.1:{port}")
    await cluster.start(name="lab")
    (check,) = await cluster.examine("127.0.0.1:7070")
    await cluster.close()

    assert (check.check, check.state) == ("cluster", "problem")
    assert "connection refused" in check.evidence
    assert "is tried for ever" in caplog.text
    assert "connection refused" in caplog.text


async def test_an_address_that_cannot_be_is_named_as_the_cause() -> None:
    cluster = cluster_at("https://xn--a")
    (check,) = await cluster.examine("")
    await cluster.close()

    assert (check.state, "Codepoint" in check.evidence) == ("problem", True)


async def test_a_cluster_that_is_overloaded_is_reported_in_its_own_words_at_once() -> None:
    busy = JSONResponse({"kind": "Status", "reason": "ServiceUnavailable", "message": "etcd is away"}, 503)
    async with serve_peer({"GET /version": busy}) as peer:
        assert await examine(peer, "") == {"cluster": ("problem", "etcd is away")}


async def test_nodes_elsewhere_and_of_another_kind_are_found() -> None:
    async with serve_peer(answers(node("here", "127.0.0.1"), node("pi", "203.0.113.9", "arm64"))) as peer:
        found = await examine(peer, "127.0.0.1:7070")

    assert found["registry address"][0] == "problem"
    assert "pi (203.0.113.9)" in found["registry address"][1]
    assert "pi (arm64)" in found["architecture"][1]


async def test_where_images_are_elsewhere_nothing_is_said_of_our_registry() -> None:
    async with serve_peer(answers(node("pi", "203.0.113.9"))) as peer:
        assert set(await examine(peer, "")) == {"cluster"}


async def test_without_the_right_to_list_nodes_it_says_what_it_cannot_know() -> None:
    refusal = JSONResponse({"kind": "Status", "reason": "Forbidden", "message": "nodes is forbidden"}, 403)
    async with serve_peer({**answers(), "GET /api/v1/nodes": refusal}) as peer:
        state, evidence = (await examine(peer, "127.0.0.1:7070"))["registry address"]

    assert (state, "may not be listed" in evidence) == ("warning", True)


async def test_an_advertised_address_where_nobody_answers_is_a_problem() -> None:
    async with serve_peer(answers(node("pi", "203.0.113.9"))) as peer:
        state, evidence = (await examine(peer, "192.0.2.1:1", plain_http=True))["registry address"]

    assert (state, "http://192.0.2.1:1/v2/" in evidence) == ("problem", True)


def test_outside_a_pod_a_cluster_must_be_named() -> None:
    with pytest.raises(UserError, match="is no pod"):
        find_target(Choice(None))


def test_a_kubeconfig_is_read_with_its_context(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "current-context: a\n"
        "clusters: [{name: c, cluster: {server: 'https://a.test'}}]\n"
        "contexts: [{name: a, context: {cluster: c}}, {name: b, context: {cluster: c}}]\n"
    )

    assert find_target(Choice(file, "b")).name == "b"
