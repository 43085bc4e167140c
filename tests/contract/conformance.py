"""Kubernetes' part of docs/conformance.md, out of the results of the contract suite and of those beside it. Pure."""

from collections.abc import Sequence

from conformance.document import Result

HEAD = """## Kubernetes

Written by `make conformance`.

One suite (`tests/contract/resource_client`) says what the reconciler relies on. It runs on three clusters: the
embedded one in process, the embedded one over HTTP through its Kubernetes façade, and a real Kubernetes, which
`docs/adr/0008-a-control-plane-from-go-modules.md` describes. A behaviour that fails anywhere, and is not in the table
of differences, fails the suite; so does a difference that is gone.
"""
DIFFERENTIAL = """
### Random operations, side by side

{passed} of {total} random sequences of 40 creates, applies, updates, patches of three types, status patches and
deletes gave the same on the embedded cluster and on kube-apiserver: each answer, each refusal by its reason
(conflicts with manager and field), and all objects afterwards, with managedFields. Left out of the comparison: uids,
versions, times, addresses, and the wording of refusals. Left out of the operations: deletes that wait for dependents or
orphan them, since nothing collects garbage there (the contract has them, under *deleting*). Of 1403 further sequences
(seeds 1000 to 1500, 2000 to 2400, 3000 to 3500) those that differed were mended, and stand under *found*; 251 more
(4000 to 4250) differed nowhere.
"""

ORACLE = """
### Server-side apply, beside upstream's own code

{passed} of {total} random sequences of 60 configurations by three managers gave the same as upstream's field manager
over structured-merge-diff v6: objects, managedFields, and each conflict with its manager and field.
"""


CLUSTERS = {"embedded": "embedded, in process", "http": "embedded, over HTTP", "kubernetes": "real Kubernetes"}


def format_conformance(results: Sequence[Result]) -> str:
    """The part."""
    contract = [one for one in results if "contract/resource_client" in one.nodeid]
    parts = [
        HEAD,
        "\n| cluster | behaviours | passed | differ on purpose | failed | not run |\n|---|---|---|---|---|---|\n",
    ]
    for cluster, title in CLUSTERS.items():
        mine = [one for one in contract if _cluster(one) == cluster]
        counts = [sum(one.outcome in wanted for one in mine) for wanted in ({"passed"}, {"xfailed"})]
        failed = sum(one.outcome in {"failed", "error", "xpassed"} for one in mine)
        skipped = sum(one.outcome == "skipped" for one in mine)
        parts.append(f"| {title} | {len(mine)} | {counts[0]} | {counts[1]} | {failed} | {skipped} |\n")
    parts.append("\n### Differences on purpose\n\n| behaviour of Kubernetes | the embedded cluster |\n|---|---|\n")
    reasons = {_test(one): one.reason for one in contract if one.outcome == "xfailed"}
    for test, reason in sorted(reasons.items()):
        parts.append(f"| {_sentence(test)} | {reason.removeprefix('reason: ')} |\n")
    for module, text in (("test_differential", DIFFERENTIAL), ("test_apply_oracle", ORACLE)):
        mine = [one for one in results if module in one.nodeid]
        if mine:
            passed = sum(one.outcome == "passed" for one in mine)
            parts.append(text.format(passed=passed, total=len(mine)))
    parts.append("\n### Behaviours\n")
    for module in sorted({_test(one).partition("::")[0] for one in contract}):
        parts.append(f"\n#### {module.removeprefix('test_').removesuffix('.py')}\n\n")
        names = dict.fromkeys(_sentence(_test(one)) for one in contract if _test(one).startswith(module))
        parts.extend(f"- {name}\n" for name in names)
    return "".join(parts)


def _test(result: Result) -> str:
    """The test without the cluster: `test_apply.py::test_…`."""
    path, _, name = result.nodeid.partition("::")
    return f"{path.rpartition('/')[2]}::{name.partition('[')[0]}"


def _cluster(result: Result) -> str:
    """The cluster it ran on."""
    parameters = result.nodeid.partition("[")[2].removesuffix("]").split("-")
    return next((one for one in parameters if one in CLUSTERS), "")


def _sentence(test: str) -> str:
    return test.partition("::test_")[2].partition("[")[0].replace("_", " ")
