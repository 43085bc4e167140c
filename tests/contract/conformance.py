"""Kubernetes' part of docs/conformance.md, out of the results of the contract suite and of those beside it. Pure."""

from collections.abc import Sequence

from conformance.document import HEADINGS, Result, format_behaviour, format_counts, format_omissions
from kubernetes.operations import CONFIGURATIONS, STEPS

HEAD = """## Kubernetes

Written by `make conformance`.

One suite (`tests/contract/resource_client`) says what the reconciler relies on. It runs on three clusters: the
embedded one in process, the embedded one over HTTP through its Kubernetes façade, and a real Kubernetes, which
`docs/adr/0008-a-control-plane-from-go-modules.md` describes. A behaviour that fails anywhere, and is not in the table
of differences, fails the suite; so does a difference that is gone.
"""
DIFFERENTIAL = """
### Random operations, side by side

{passed} of {total} random sequences of {steps} creates, applies, updates, patches of three types, status patches and
deletes gave the same on the embedded cluster and on kube-apiserver: each answer, each refusal by its reason
(conflicts with manager and field), and all objects afterwards, with managedFields. Of versions it is compared
whether a write gives a new one. Left out of the comparison: uids, times, addresses, and the wording of refusals. Left
out of the operations: deletes that wait for dependents or orphan them, since nothing collects garbage there (the
contract has them, under *deleting*). What differed once and was mended stands under *found*. One difference stays: a
null among the bytes of a Secret's `data` or a ConfigMap's `binaryData`, written again, gives a new version of
kube-apiserver where its cache has the object already, and none before that; here it never does.
"""

ORACLE = """
### Server-side apply, beside upstream's own code

{passed} of {total} random sequences of {configurations} configurations by three managers gave the same as upstream's
field manager over structured-merge-diff v6: objects, managedFields, and each conflict with its manager and field.
"""


CLUSTERS = {"embedded": "embedded, in process", "http": "embedded, over HTTP", "kubernetes": "real Kubernetes"}


def format_conformance(results: Sequence[Result]) -> str:
    """The part."""
    contract = [one for one in results if "contract/resource_client" in one.nodeid]
    by_cluster = {title: [one for one in contract if _cluster(one) == name] for name, title in CLUSTERS.items()}
    parts = [HEAD, f"\n| cluster | {HEADINGS} |\n|---|---|---|---|---|---|---|\n"]
    parts.extend(format_counts(title, mine) for title, mine in by_cluster.items())
    parts.append(format_omissions(by_cluster))
    parts.append("\n### Differences on purpose\n\n| behaviour of Kubernetes | the embedded cluster |\n|---|---|\n")
    reasons = {one.nodeid.partition("[")[0]: one for one in contract if one.outcome == "xfailed"}
    for _, one in sorted(reasons.items()):
        parts.append(f"| {format_behaviour(one)} | {one.reason.removeprefix('reason: ')} |\n")
    for module, text in (("test_differential", DIFFERENTIAL), ("test_apply_oracle", ORACLE)):
        mine = [one for one in results if module in one.nodeid]
        if mine:
            passed = sum(one.outcome == "passed" for one in mine)
            parts.append(text.format(passed=passed, total=len(mine), steps=STEPS, configurations=CONFIGURATIONS))
    parts.append("\n### Behaviours\n")
    for module in sorted({_module(one) for one in contract}):
        parts.append(f"\n#### {module}\n\n")
        names = dict.fromkeys(format_behaviour(one) for one in contract if _module(one) == module)
        parts.extend(f"- {name}\n" for name in names)
    return "".join(parts)


def _module(result: Result) -> str:
    """`apply` of `…/test_apply.py::test_…`."""
    return result.nodeid.partition("::")[0].rpartition("/")[2].removeprefix("test_").removesuffix(".py")


def _cluster(result: Result) -> str:
    """The cluster it ran on."""
    parameters = result.nodeid.partition("[")[2].removesuffix("]").split("-")
    return next((one for one in parameters if one in CLUSTERS), "")
