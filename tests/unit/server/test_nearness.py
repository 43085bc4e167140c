"""Whether nodes can get images from here, judged by addresses."""

import pytest

from towpath.server.nearness import NodeFacts, judge_architectures, judge_registry

HERE = NodeFacts("nuc", "amd64", ("192.168.1.10",), is_here=True)
PI = NodeFacts("pi", "arm64", ("192.168.1.20",))
LOOPBACK = "127.0.0.1:7070"


def judge(registry: str = LOOPBACK, **given: object) -> tuple[str, str, str]:
    facts = {"server": "https://192.168.1.20:6443", "server_is_here": False, "nodes": None, "in_pod": False}
    check = judge_registry(registry, **{**facts, "plain": False, **given})  # type: ignore[arg-type]
    return check.state, check.evidence, check.next


def test_a_node_elsewhere_cannot_reach_this_machine_s_loopback() -> None:
    state, evidence, step = judge(nodes=[HERE, PI])

    assert (state, "pi (192.168.1.20)" in evidence, "nuc" in evidence) == ("problem", True, False)
    assert "--advertise" in step


def test_many_nodes_elsewhere_are_counted_not_listed() -> None:
    nodes = [NodeFacts(f"pi-{number}", "arm64") for number in range(9)]

    assert "pi-2 (no address) and 6 more" in judge(nodes=nodes)[1]


def test_loopback_is_right_where_every_node_is_this_machine() -> None:
    assert judge(nodes=[HERE], server_is_here=True)[::2] == ("ok", "")


@pytest.mark.parametrize("nodes", [None, []])
def test_a_remote_api_server_makes_loopback_wrong_even_where_nodes_are_not_known(nodes: object) -> None:
    state, evidence, _ = judge(nodes=nodes)

    assert (state, "https://192.168.1.20:6443" in evidence) == ("problem", True)


@pytest.mark.parametrize(("nodes", "why"), [(None, "may not be listed"), ([], "has no nodes")])
def test_what_cannot_be_known_is_a_warning_that_says_so(nodes: object, why: str) -> None:
    state, evidence, step = judge(nodes=nodes, server_is_here=True)

    assert (state, why in evidence, step.startswith("if nodes are elsewhere")) == ("warning", True, True)


def test_a_pod_s_loopback_is_nobody_else_s() -> None:
    assert judge(nodes=[HERE], server_is_here=True, in_pod=True)[0] == "problem"


def test_an_address_on_the_network_is_said_with_how_nodes_speak_to_it() -> None:
    assert judge("192.168.1.10:7070", nodes=[PI])[:2] == ("ok", "nodes pull from 192.168.1.10:7070 over TLS")
    state, evidence, step = judge("192.168.1.10:7070", nodes=[PI], plain=True)
    assert (state, "plain HTTP" in evidence, "docs/kubernetes.md" in step) == ("ok", True, True)


def test_nodes_of_another_architecture_are_named() -> None:
    (check,) = judge_architectures([HERE, PI, NodeFacts("new", "")], built="amd64")

    assert (check.state, "pi (arm64)" in check.evidence, "nuc" in check.evidence) == ("warning", True, False)
    assert judge_architectures([HERE], built="amd64") == []
