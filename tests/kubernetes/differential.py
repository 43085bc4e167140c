"""Carries out operations on two clusters and compares what they answer and what they then hold.

Versions are other numbers on each cluster; whether a write gave an object a new one is compared.
"""

import json
from dataclasses import dataclass
from typing import Any

from kubernetes.operations import KINDS, NAMESPACE, Operation
from towpath.kube.errors import AlreadyExistsError, ApiConflictError, ApiError, ApiNotFoundError
from towpath.kube.objects import Object, clone
from towpath.reconcile.ports import ResourceClient

PLACEHOLDER = "…"
FURNITURE = frozenset({"default", "kube-root-ca.crt"})


@dataclass(frozen=True)
class Outcome:
    """What an operation came to: an object, or a refusal."""

    object: Object | None = None
    error: str = ""

    def text(self) -> str:
        """For reading and comparing."""
        return self.error or json.dumps(self.object, indent=1, sort_keys=True)


class Side:
    """One of the clusters, and the version that each object had when it was last seen."""

    def __init__(self, client: ResourceClient) -> None:
        self.client = client
        self._versions: dict[str, str] = {}

    def normalise(self, obj: Object) -> Object:
        """The object without what must differ, and with `same` or `new` for its version."""
        metadata = obj["metadata"]
        uid, version = metadata.get("uid", ""), metadata.get("resourceVersion")
        new = normalise(obj)
        if version:
            new["metadata"]["resourceVersion"] = "same" if self._versions.get(uid) == version else "new"
            self._versions[uid] = version
        return new


async def carry_out(side: Side, operation: Operation) -> Outcome:
    """Do it, and normalise what comes of it."""
    one, client, normalise = operation, side.client, side.normalise
    try:
        match one.verb:
            case "create":
                return Outcome(normalise(await client.create(clone(one.body), one.options)))
            case "update":
                return Outcome(normalise(await client.update(clone(one.body), one.options)))
            case "apply":
                return Outcome(normalise(await client.apply(clone(one.body), one.options)))
            case "patch":
                return Outcome(normalise(await client.patch(one.gvk, one.name, NAMESPACE, one.body, one.options)))
            case _:
                await client.delete(one.gvk, one.name, NAMESPACE, one.options)
                return Outcome()
    except ApiError as error:
        return Outcome(error=_describe(error))


async def contents(side: Side) -> dict[str, Object]:
    """Everything of the kinds in play, normalised, by kind and name, but for what controllers put into a namespace."""
    found: dict[str, Object] = {}
    for gvk in KINDS:
        for obj in (await side.client.list(gvk, NAMESPACE)).items:
            if obj["metadata"]["name"] not in FURNITURE:
                found[f"{gvk.kind}/{obj['metadata']['name']}"] = side.normalise(obj)
    return found


def normalise(obj: Object) -> Object:
    """The object without what must differ: identity, times, addresses and ports that a cluster hands out."""
    new = clone(obj)
    metadata = new.get("metadata", {})
    uid = metadata.get("uid", "")
    for field in ("uid", "creationTimestamp", "deletionTimestamp"):
        if field in metadata:
            metadata[field] = PLACEHOLDER
    for entry in metadata.get("managedFields", []):
        entry["time"] = PLACEHOLDER
    metadata["managedFields"] = sorted(metadata.get("managedFields", []), key=json.dumps)
    spec = new.get("spec")
    if new.get("kind") == "Service" and isinstance(spec, dict):
        for port in spec.get("ports", []):
            if port.get("nodePort"):
                port["nodePort"] = PLACEHOLDER
        if spec.get("clusterIP") not in {None, "", "None"}:
            spec["clusterIP"], spec["clusterIPs"] = PLACEHOLDER, [PLACEHOLDER]
    return _without(new, uid)  # type: ignore[no-any-return]  # a mapping in, a mapping out


def _without(value: Any, uid: str) -> Any:
    """The value without nulls, and with an uid replaced wherever it stands: a Job labels its pods with its own."""
    if isinstance(value, dict):
        return {key: _without(item, uid) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without(item, uid) for item in value]
    return value.replace(uid, PLACEHOLDER) if uid and isinstance(value, str) else value


def _describe(error: ApiError) -> str:
    """The refusal as a client acts on it: its reason, for Conflict with the fields, for the rest without the wording.

    The words that clients match on are the contract suite's matter; Go walks maps at random and shows its structures.
    """
    if isinstance(error, ApiConflictError) and error.causes:
        return "\n".join([error.reason, *sorted(f"{one.get('field')}: {one.get('message')}" for one in error.causes)])
    if isinstance(error, ApiConflictError | ApiNotFoundError | AlreadyExistsError):
        return f"{error.reason}: {error.message}"
    return error.reason


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Where two values differ: `path: first | second`."""
    if isinstance(first, dict) and isinstance(second, dict):
        return [
            found
            for key in sorted({*first, *second})
            for found in differences(first.get(key), second.get(key), f"{path}.{key}")
        ]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [
            found
            for index, (one, other) in enumerate(zip(first, second, strict=True))
            for found in differences(one, other, f"{path}[{index}]")
        ]
    return [] if first == second else [f"{path}: {first!r} | {second!r}"]
