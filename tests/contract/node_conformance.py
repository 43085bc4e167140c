"""The node's part of docs/conformance.md, out of the results of `tests/contract/node`. Pure."""

import re
from collections.abc import Sequence

from conformance.document import HEADINGS, Result, format_behaviour, format_counts, format_omissions

HEAD = """## Node

Written by `make conformance`.

One suite (`tests/contract/node`) says what a pod's status, log and events tell. It runs on the embedded node agent and
on a real kubelet 1.37 with containerd 1.6, which `docs/adr/0011-a-node-of-kubelet-and-containerd.md` describes; images
are pulled from Towpath's registry with a pull secret. Texts are compared word by word.
"""
NODES = {"embedded": "embedded node agent", "kubelet": "kubelet and containerd"}
NOT_COMPARED = """
Not compared: container ids and addresses, the order of events within a second, when a probe first looks, how often an
event is repeated. Not kept by the embedded node, with a warning when the pod is created: `activeDeadlineSeconds` of a
pod. containerd 2 begins some texts otherwise (`failed to resolve image` for `failed to resolve reference`).
"""


def format_nodes(results: Sequence[Result]) -> str:
    """The part."""
    by_node = {title: [one for one in results if _parameters(one)[:1] == [node]] for node, title in NODES.items()}
    parts = [HEAD, f"\n| node | {HEADINGS} |\n|---|---|---|---|---|---|---|\n"]
    parts.extend(format_counts(title, mine) for title, mine in by_node.items())
    parts.append(format_omissions(by_node))
    parts.append("\n### Differences on purpose\n\n| behaviour of kubelet | the embedded node |\n|---|---|\n")
    reasons = {format_behaviour(one): one.reason for one in results if one.outcome == "xfailed"}
    parts.extend(
        f"| {sentence} | {reason.removeprefix('reason: ')} |\n" for sentence, reason in sorted(reasons.items())
    )
    parts.append(NOT_COMPARED)
    parts.append("\n### Why a pull failed\n\n| case | the text of ErrImagePull |\n|---|---|\n")
    texts = {_case(one): _readable(str(one.properties["text"])) for one in results if one.properties.get("text")}
    parts.extend(f"| {case} | `{text}` |\n" for case, text in texts.items())
    parts.append("\n### Behaviours\n\n")
    parts.extend(f"- {sentence}\n" for sentence in dict.fromkeys(format_behaviour(one) for one in results))
    return "".join(parts)


def _readable(text: str) -> str:
    """A text without what is another one in each run: ports, digests, the name server."""
    text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:5000", text)
    return re.sub(r" on [^ ]+:53", " on …:53", text)


def _parameters(result: Result) -> list[str]:
    return result.nodeid.partition("[")[2].removesuffix("]").split("-")


def _case(result: Result) -> str:
    variant = " ".join(_parameters(result)[1:])
    return f"{format_behaviour(result)} ({variant})" if variant else format_behaviour(result)
