"""The revisions of a StatefulSet: each pod template it has had, kept as a ControllerRevision. Pure.

A revision is found by comparing templates; its hash only names it. Going back to an earlier template re-uses its
revision under a new, higher number, so that the history stays in the order in which templates were in force.
"""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from towpath.cluster.controllers.ownership import prepare_owner_reference
from towpath.cluster.controllers.pods import created_at
from towpath.cluster.controllers.template_hash import is_same_template, template_hash
from towpath.kube.objects import GVK, Object, find_path, labels_of, name_of, namespace_of

CONTROLLER_REVISION = GVK("apps", "v1", "ControllerRevision")
REVISION_LABEL = "controller-revision-hash"
HASH_LABEL = "controller.kubernetes.io/hash"

# 10: the API's default of `revisionHistoryLimit`.
DEFAULT_HISTORY = 10


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revision in force, the one being rolled out (the same when at rest), and the write that makes it so.

    `pending` is a ControllerRevision to create (it has no uid) or to update; None if the store is right already.
    """

    current: Object
    update: Object
    pending: Object | None


def sort_revisions(revisions: Sequence[Object]) -> list[Object]:
    """Oldest first."""
    return sorted(revisions, key=lambda one: (number_of(one), created_at(one), name_of(one)))


def number_of(revision: Object) -> int:
    """Its place in the history."""
    return int(revision.get("revision") or 0)


def template_of(revision: Object) -> dict[str, Any]:
    """The pod template it keeps."""
    template = find_path(revision, "data", "spec", "template") or {}
    return {name: value for name, value in template.items() if name != "$patch"}


def plan_revisions(statefulset: Object, history: Sequence[Object]) -> Revisions:
    """Find or make the revision of the present template; `history` is oldest first."""
    template = statefulset["spec"]["template"]
    following = number_of(history[-1]) + 1 if history else 1
    equal = next((one for one in reversed(history) if is_same_template(template_of(one), template)), None)
    pending = None
    if equal is None:
        collisions = int(find_path(statefulset, "status", "collisionCount") or 0)
        pending = update = prepare_revision(statefulset, number=following, collisions=collisions)
    elif equal is history[-1]:
        update = equal
    else:
        pending = update = {**equal, "revision": following}
    named = find_path(statefulset, "status", "currentRevision")
    current = next((one for one in history if name_of(one) == named), update)
    return Revisions(update if name_of(current) == name_of(update) else current, update, pending)


def prepare_revision(statefulset: Object, *, number: int, collisions: int) -> Object:
    """A new ControllerRevision of the present template."""
    template = copy.deepcopy(statefulset["spec"]["template"])
    digest = template_hash(template, collisions=collisions)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name_of(statefulset)}-{digest}",
            "namespace": namespace_of(statefulset),
            "labels": {**(find_path(template, "metadata", "labels") or {}), HASH_LABEL: digest},
            "ownerReferences": [prepare_owner_reference(statefulset)],
        },
        # A strategic merge patch, as upstream keeps it: `kubectl rollout undo` sends it as it is.
        "data": {"spec": {"template": {**template, "$patch": "replace"}}},
        "revision": number,
    }


def plan_truncation(statefulset: Object, history: Sequence[Object], in_use: Collection[str]) -> list[Object]:
    """The oldest revisions beyond `spec.revisionHistoryLimit` whose names are not `in_use`."""
    limit = find_path(statefulset, "spec", "revisionHistoryLimit")
    unused = [one for one in history if name_of(one) not in in_use]
    return unused[: max(0, len(unused) - (DEFAULT_HISTORY if limit is None else int(limit)))]


def revision_name_of(pod: Object) -> str:
    """The name of the revision a pod was made from."""
    return labels_of(pod).get(REVISION_LABEL, "")
